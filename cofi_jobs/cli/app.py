"""The command line: the tasks without Airflow, and looks into a store."""

import logging
import os
import sys
import traceback
from typing import Annotated

import typer
from rich.logging import RichHandler

from cofi_jobs.cli.look_commands import add_look_commands
from cofi_jobs.cli.store_commands import add_store_commands
from cofi_jobs.cli.task_commands import add_task_commands
from cofi_jobs.core.errors import CofiError, SettingsError, cut
from cofi_jobs.core.progress import CONSOLE

TRACEBACK = "COFI_TRACEBACK"


def command_line() -> typer.Typer:
    """The command line with all its commands."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="CoFi: ratings in, recommendations out. "
        "Settings come from variables COFI_<NAME> and from --set.",
    )
    app.callback()(options)
    add_task_commands(app)
    add_look_commands(app)
    add_store_commands(app)
    return app


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


def main() -> None:
    """Run the command line. Exit codes: 0, 1 for a failed run, 2 for bad usage."""
    try:
        command_line()(prog_name="cofi_jobs")
    except Exception as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        # An error that is not ours is named with its type: its message alone may say too little.
        text = str(error) if isinstance(error, CofiError) else f"{type(error).__name__}: {error}"
        print(f"error: {cut(text)}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
