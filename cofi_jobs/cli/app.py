"""The command line: the tasks without Airflow, and looks into a store.

What only looks into a store is imported where it is used: that takes longer than a small task takes to run.
"""

import json
import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from cofi_jobs.core.errors import CofiError, QualityError, SettingsError, StoreError
from cofi_jobs.core.progress import CONSOLE
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.open import open_store
from cofi_jobs.store.run_keys import run_key_at
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_all, run_task

TRACEBACK = "COFI_TRACEBACK"
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="CoFi: ratings in, recommendations out. Settings come from variables COFI_<NAME> and from --set.",
)
show_app = typer.Typer(
    no_args_is_help=True, help="Show what the current run says of a user or an item."
)
app.add_typer(show_app, name="show")

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="COFI_STORE",
        help="Folder of the store, or s3://<bucket>/<folder>, gs://...",
    ),
]
KeyOption = Annotated[
    str, typer.Option("--run-key", help="Name of the run. Runs are ordered by it, as text.")
]
NewKeyOption = Annotated[
    str, typer.Option("--run-key", help="Name of the run; the time in UTC if left out.")
]
PublishedOption = Annotated[
    str, typer.Option("--run-key", help="A published run; the current one if left out.")
]
EvaluatedOption = Annotated[
    str, typer.Option("--run-key", help="A run to evaluate now; the newest table if left out.")
]
NightOption = Annotated[
    str,
    typer.Option(
        "--run-key",
        help="The run whose task this is. What is delivered is what readers use, always.",
    ),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting; repeatable.")
]
RatingsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--ratings", help="File of ratings, read beside those in the landing folder; repeatable."
    ),
]
MoreRatings = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE]...", help="More files of ratings.")
]
ItemsOption = Annotated[
    Path | None,
    typer.Option(
        "--items", help="Catalogue with titles and groups of the items, kept in the store."
    ),
]


@app.callback()
def options(
    show_traceback: Annotated[
        bool, typer.Option("--traceback", envvar=TRACEBACK, help="Show where an error arose.")
    ] = False,
) -> None:
    """Set up logging: coloured on a terminal, plain lines elsewhere."""
    os.environ[TRACEBACK] = "1" if show_traceback else ""
    handler = (
        RichHandler(console=CONSOLE, show_path=False)
        if CONSOLE.is_terminal
        else logging.StreamHandler()
    )
    layout = "%(message)s" if CONSOLE.is_terminal else "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, format=layout, datefmt="%X", handlers=[handler])


@app.command()
def run(
    store: StoreOption,
    ratings: RatingsOption = None,
    more: MoreRatings = None,
    items: ItemsOption = None,
    settings: SetOption = None,
    run_key: NewKeyOption = "",
) -> None:
    """Run all tasks of a night, one after the other, and print a summary."""
    from cofi_jobs.cli.show import run as show
    from cofi_jobs.read import current_run

    target, chosen = open_store(store).create(), load_settings(settings or ())
    key = run_key or run_key_at(datetime.now(UTC))
    if items:
        with target.lock("catalogue", key, needs=()) as locked:
            locked.add_to_catalogue(items)
    run_all(target, chosen, key, ratings=[*(ratings or ()), *(more or ())])
    show.summary(current_run(target, key))


@app.command()
def ingest(
    store: StoreOption,
    run_key: KeyOption,
    ratings: RatingsOption = None,
    more: MoreRatings = None,
    settings: SetOption = None,
) -> None:
    """Take new rating files into the run's batch."""
    files = [*(ratings or ()), *(more or ())]
    run_task("ingest", open_store(store), load_settings(settings or ()), run_key, ratings=files)


def _add_task_command(task: str, description: str) -> None:
    def command(store: StoreOption, run_key: KeyOption, settings: SetOption = None) -> None:
        run_task(task, open_store(store), load_settings(settings or ()), run_key)

    app.command(task.replace("_", "-"), help=description)(command)


_add_task_command("normalize", "Compute current ratings, item means and row numbers.")
_add_task_command("train", "Learn both models, once to be measured and once to be used.")
_add_task_command("similar_items", "Write the similar items of each item.")
_add_task_command("recommend", "Write each user's recommendations and the popular items.")
_add_task_command("report", "Write the page about a run, published or not, as far as it came.")
_add_task_command("publish", "Write the manifest and point readers to the run.")


@app.command()
def evaluate(store: StoreOption, run_key: EvaluatedOption = "", settings: SetOption = None) -> None:
    """Measure a run's model and judge the night; print the table. Without --run-key: of the newest run that has one."""
    from cofi_jobs.cli.show import evaluation as show

    target = open_store(store)
    try:
        if run_key:
            run_task("evaluate", target, load_settings(settings or ()), run_key)
    except QualityError:
        show.evaluation(target, run_key)
        raise
    show.evaluation(target, run_key or None)


@app.command()
def tune(store: StoreOption, run_key: PublishedOption = "", settings: SetOption = None) -> None:
    """Search for better settings on a run's ratings; the nights to come use them. What --set fixes is not tuned."""
    from cofi_jobs.cli.show import tuning as show

    target, chosen = open_store(store), load_settings(settings or ())
    key = run_key or target.current()
    if key is None:
        raise StoreError(f"found no published run in {target.location}, expected one to tune on")
    show.tuning(run_task("tune", target, chosen, key), target)


@app.command()
def deliver(store: StoreOption, run_key: NightOption = "", settings: SetOption = None) -> None:
    """Write the lists that readers use now into the PostgreSQL database of COFI_DATABASE."""
    from cofi_jobs.store.reader import current_run

    target, chosen = open_store(store), load_settings(settings or ())
    run_task("deliver", target, chosen, run_key or current_run(target).key)


@show_app.command("user")
def show_user(user_id: str, store: StoreOption) -> None:
    """Show what a user liked and is recommended."""
    from cofi_jobs.cli.show import run as show
    from cofi_jobs.read import current_run

    show.user(current_run(open_store(store)), user_id)


@show_app.command("item")
def show_item(item_id: str, store: StoreOption) -> None:
    """Show an item and its similar items."""
    from cofi_jobs.cli.show import run as show
    from cofi_jobs.read import current_run

    show.item(current_run(open_store(store)), item_id)


@app.command()
def explain(user_id: str, item_id: str, store: StoreOption, run_key: PublishedOption = "") -> None:
    """Say why a user is, or is not, recommended an item."""
    from cofi_jobs.cli.show import explanation as show
    from cofi_jobs.read import current_run

    show.explain(current_run(open_store(store), run_key or None), user_id, item_id)


@app.command()
def summary(store: StoreOption, run_key: PublishedOption = "") -> None:
    """Show what a published run read, how good it is, and examples of what it wrote."""
    from cofi_jobs.cli.show import run as show
    from cofi_jobs.read import current_run

    show.summary(current_run(open_store(store), run_key or None))


@app.command()
def runs(store: StoreOption) -> None:
    """List the runs of a store."""
    from cofi_jobs.cli.show import runs as show

    show.runs(open_store(store), list(TASKS))


@app.command()
def rollback(run_key: str, store: StoreOption) -> None:
    """Point readers to an earlier published run; the next night publishes as usual."""
    from cofi_jobs.store.reader import current_run

    target = open_store(store)
    current_run(target, run_key)
    with target.lock("rollback", run_key, needs=()) as locked:
        locked.set_current(run_key)
    Console().print(f"readers of {target.location} now use run {run_key}", soft_wrap=True)


@app.command()
def erase(
    store: StoreOption,
    user_ids: Annotated[
        list[str] | None, typer.Argument(metavar="USER_ID...", help="Whom to erase.")
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Clean what readers see at once, not at the next publish.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only look what is left of them, change nothing.")
    ] = False,
    settings: SetOption = None,
) -> None:
    """Remove users from the store for good, then search it for them; fails, naming the files, where any is left."""
    from cofi_jobs.cli.show import erasure as show
    from cofi_jobs.tasks.erase import erase, look

    users = [*(user_ids or ()), *json.loads(os.environ.get("COFI_ERASE") or "[]")]
    target, chosen = open_store(store), load_settings(settings or ())
    show.erased(target, look(target, chosen, users) if check else erase(target, chosen, users, now))


def main() -> None:
    """Run the command line. Exit codes: 0, 1 for a failed run, 2 for bad usage."""
    try:
        app(prog_name="cofi_jobs")
    except Exception as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        # An error that is not ours is named with its type: its message alone may say too little.
        text = str(error) if isinstance(error, CofiError) else f"{type(error).__name__}: {error}"
        print(f"error: {text}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
