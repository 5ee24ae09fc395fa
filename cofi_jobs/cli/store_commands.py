"""Commands that change a store and are no tasks."""

import json
import os
from typing import Annotated

import typer
from rich.console import Console

from cofi_jobs.cli.options import SetOption, StoreOption
from cofi_jobs.core.errors import SettingsError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.open import open_store


def add_store_commands(app: typer.Typer) -> None:
    """Add `rollback` and `erase`."""
    for command in (rollback, erase):
        app.command()(command)


def rollback(run_key: str, store: StoreOption) -> None:
    """Point readers to an earlier published run; the next run publishes as usual."""
    from cofi_jobs.store.reader import current_run

    target = open_store(store)
    current_run(target, run_key)  # an error need not wait for the lock
    with target.lock("publish", run_key, needs=(), by="rollback") as locked:
        locked.set_current(run_key)
    Console().print(f"readers of {target.location} now use run {run_key}", soft_wrap=True)


def erase(
    store: StoreOption,
    user_ids: Annotated[
        list[str] | None, typer.Argument(metavar="USER_ID...", help="Users to erase.")
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Clean what readers see at once, not at the next publish.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only look what is left of them, change nothing.")
    ] = False,
    settings: SetOption = None,
) -> None:
    """Remove users from the store for good, then search the store for them.

    Fails, naming the files, if anything of them is left.
    """
    from cofi_jobs.cli.show import erasure as show
    from cofi_jobs.tasks.erase import erase, look

    users = [*(user_ids or ()), *_users_of_environment()]
    target, chosen = open_store(store), load_settings(settings or ())
    show.erased(target, look(target, chosen, users) if check else erase(target, chosen, users, now))


def _users_of_environment() -> list[str]:
    """The ids in COFI_ERASE, which no other user of the machine sees.

    Raises SettingsError, which shows no id, for anything but a list of texts in JSON.
    """
    try:
        users = json.loads(os.environ.get("COFI_ERASE") or "[]")
    except (ValueError, RecursionError):
        users = None
    if not isinstance(users, list) or not all(isinstance(user, str) for user in users):
        raise SettingsError(
            'found another COFI_ERASE than a JSON list of texts, expected one, such as ["17", "18"]'
        )
    return users
