"""Commands that look into a store and change nothing.

What they show is imported where it is used: that takes longer than a small task takes to run.
"""

import typer

from cofi_jobs.cli.options import PublishedOption, StoreOption
from cofi_jobs.store.open import open_store
from cofi_jobs.tasks.declaration import in_order
from cofi_jobs.tasks.registry import DECLARED


def add_look_commands(app: typer.Typer) -> None:
    """Add `show user`, `show item`, `explain`, `summary` and `runs`."""
    show = typer.Typer(
        no_args_is_help=True, help="Show what the current run says of a user or an item."
    )
    show.command("user")(show_user)
    show.command("item")(show_item)
    app.add_typer(show, name="show")
    for command in (explain, summary, runs):
        app.command()(command)


def show_user(user_id: str, store: StoreOption) -> None:
    """Show what a user liked and is recommended."""
    from cofi_jobs.cli.show import run as show
    from cofi_jobs.read import current_run

    show.user(current_run(open_store(store)), user_id)


def show_item(item_id: str, store: StoreOption) -> None:
    """Show an item and its similar items."""
    from cofi_jobs.cli.show import run as show
    from cofi_jobs.read import current_run

    show.item(current_run(open_store(store)), item_id)


def explain(user_id: str, item_id: str, store: StoreOption, run_key: PublishedOption = "") -> None:
    """Say why a user is, or is not, recommended an item."""
    from cofi_jobs.cli.show import explanation as show
    from cofi_jobs.read import current_run

    show.explain(current_run(open_store(store), run_key or None), user_id, item_id)


def summary(store: StoreOption, run_key: PublishedOption = "") -> None:
    """Show what a published run read, how good it is, and examples of what it wrote."""
    from cofi_jobs.cli.show import run as show
    from cofi_jobs.read import current_run

    show.summary(current_run(open_store(store), run_key or None))


def runs(store: StoreOption) -> None:
    """List the runs of a store."""
    from cofi_jobs.cli.show import runs as show

    show.runs(open_store(store), [task.name for task in in_order(DECLARED) if task.every_run])
