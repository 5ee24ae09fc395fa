"""Commands that run tasks: one for each declared task, and `run` for all of a run."""

from collections.abc import Callable
from datetime import UTC, datetime

import typer
from rich.console import Console

from cofi_jobs.cli.options import (
    EvaluatedOption,
    ItemsOption,
    KeyOption,
    LatestOption,
    MoreRatings,
    NewKeyOption,
    NightOption,
    PublishedOption,
    RatingsOption,
    SetOption,
    StoreOption,
)
from cofi_jobs.core.errors import QualityError, StoreError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.open import open_store
from cofi_jobs.store.run_keys import check_run_key, run_key_at
from cofi_jobs.store.status import latest_run
from cofi_jobs.tasks.registry import DECLARED
from cofi_jobs.tasks.runner import run_all, run_task


def add_task_commands(app: typer.Typer) -> None:
    """Add `run`, and a command for each declared task."""
    app.command()(run)
    for name, task in DECLARED.items():
        command = OWN_COMMANDS.get(name) or _plain(name)
        app.command(task.command, help=command.__doc__ or task.summary)(command)


def _plain(task: str) -> Callable[..., None]:
    """A command that runs a task and prints nothing."""

    def command(store: StoreOption, run_key: KeyOption, settings: SetOption = None) -> None:
        run_task(task, open_store(store), load_settings(settings or ()), run_key)

    return command


def run(
    store: StoreOption,
    ratings: RatingsOption = None,
    more: MoreRatings = None,
    items: ItemsOption = None,
    settings: SetOption = None,
    run_key: NewKeyOption = "",
) -> None:
    """Run all tasks of a run, one after the other, and print a summary."""
    from cofi_jobs.cli.show import run as show
    from cofi_jobs.read import current_run

    target, chosen = open_store(store).create(), load_settings(settings or ())
    key = check_run_key(run_key or run_key_at(datetime.now(UTC)))
    if items:
        with target.lock("catalogue", key, needs=()) as locked:
            locked.add_to_catalogue(items)
    run_all(target, chosen, key, ratings=[*(ratings or ()), *(more or ())])
    show.summary(current_run(target, key))


def ingest(
    store: StoreOption,
    run_key: KeyOption,
    ratings: RatingsOption = None,
    more: MoreRatings = None,
    settings: SetOption = None,
) -> None:
    """Accept new ratings into the run's batch: from files, and from a query if there is one."""
    files = [*(ratings or ()), *(more or ())]
    run_task("ingest", open_store(store), load_settings(settings or ()), run_key, ratings=files)


def evaluate(store: StoreOption, run_key: EvaluatedOption = "", settings: SetOption = None) -> None:
    """Measure a run's models and judge the run; print the table.

    Without --run-key: the table of the newest run that has one.
    """
    from cofi_jobs.cli.show import evaluation as show

    target = open_store(store)
    try:
        if run_key:
            run_task("evaluate", target, load_settings(settings or ()), run_key)
    except QualityError:
        show.evaluation(target, run_key)
        raise
    show.evaluation(target, run_key or None)


def tune(store: StoreOption, run_key: PublishedOption = "", settings: SetOption = None) -> None:
    """Search for better settings on a run's ratings; later runs use them.

    Settings you set are excluded from tuning.
    """
    from cofi_jobs.cli.show import tuning as show

    target, chosen = open_store(store), load_settings(settings or ())
    key = run_key or target.current()
    if key is None:
        raise StoreError(f"found no published run in {target.location}, expected one to tune on")
    show.tuning(run_task("tune", target, chosen, key), target)


def deliver(store: StoreOption, run_key: NightOption = "", settings: SetOption = None) -> None:
    """Write the lists that readers use now into the PostgreSQL database of COFI_DATABASE."""
    from cofi_jobs.store.reader import current_run

    target, chosen = open_store(store), load_settings(settings or ())
    run_task("deliver", target, chosen, run_key or current_run(target).key)


def verify(store: StoreOption, run_key: LatestOption = "", settings: SetOption = None) -> None:
    """Compare the files of the store with the SHA-256 in the records; name the damaged ones."""
    target = open_store(store)
    key = run_key or latest_run(target)
    outcome = run_task("verify", target, load_settings(settings or ()), key)
    Console().print(outcome["summary"], soft_wrap=True)


# Commands with options of their own, or that print what the task found.
OWN_COMMANDS: dict[str, Callable[..., None]] = {
    "ingest": ingest,
    "evaluate": evaluate,
    "tune": tune,
    "deliver": deliver,
    "verify": verify,
}
