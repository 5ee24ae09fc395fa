"""`train` in one process, on workers of Ray, and Spark's ALS, on the same made-up ratings.

Each process, worker or thread of Spark has a core.

Each way runs in a process of its own. Seconds of `train` are those of the task's work; with Ray
they contain the start of a cluster on this machine and that of its workers. Those of a step are
without all that. A model of the cost of a step is fitted to all sizes but the last, and compared
with what was measured for that one; then it says what larger sizes would need.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import contest, spark_growth, synthetic
from benchmarks.cost_model import Step, StepCost
from benchmarks.fit_steps import FitSteps, fit_steps
from benchmarks.measure import machine, measure, task_command
from benchmarks.options import FolderOption
from benchmarks.plans import tabulate_plans
from benchmarks.spark_growth import SparkFit
from cofi_jobs.model.objectives import Objective
from cofi_jobs.store.store import Store

FOLDER = Path(tempfile.gettempdir()) / "cofi-scaling"
KEY = "night"
N_FACTORS = 64
COMMON: dict[str, object] = {"first_tuning_minutes": 0, "n_factors": N_FACTORS, "threads": 1}
WAYS = {"local": 0, "1 worker": 1, "2 workers": 2}  # of Ray
MORE_WAYS = {**WAYS, "4 workers": 4}  # for the last size: workers that share cores
RATINGS_OF_USER = 200  # as many ratings as each has in the mean
LARGE = 6  # times as many ratings as a step has by default: the other kind of step
SPARK_THREADS = (1, 2)
# Each with so many items that products of all users and items do not pay (`dense_pays`), as where
# there are many. The last is the one that the model is not fitted to.
SIZES = "300000x20000,300000x60000,600000x40000"


@dataclass(frozen=True)
class Row:
    """One way to train on so many ratings of so many items."""

    ratings: int
    items: int
    way: str
    workers: int  # on Ray; 0: the task itself
    seconds: float  # of `train`
    peak_mb: float  # of its processes together; pages that they share count once for each
    losses: float  # by what share they differ from those of one process, at most
    mb_a_step: float
    steps: Mapping[int, FitSteps]  # by how many ratings a step has

    @property
    def usual(self) -> FitSteps:
        """With steps as large as they are by default."""
        return self.steps[min(self.steps)]

    @property
    def round_seconds(self) -> float:
        """Of usual steps that use all ratings once."""
        return self.usual.step * self.ratings / min(self.steps)

    @property
    def measured(self) -> list[Step]:
        """What the model of cost is fitted to."""
        processors = max(1, self.workers)
        return [
            Step(n_ratings, self.items, N_FACTORS, processors, steps.step)
            for n_ratings, steps in self.steps.items()
        ]


def normalized(folder: Path, n_ratings: int, n_items: int) -> Store:
    """A store with a run up to its normalized ratings; those are made in blocks, once."""
    store = Store(folder / f"store-{n_ratings}-{n_items}").create()
    if store.outcome(KEY, "normalize") is None:
        file = folder / f"ratings-{n_ratings}-{n_items}.csv"
        made = synthetic.ratings(n_ratings, n_ratings // RATINGS_OF_USER, n_items)
        synthetic.write_csv(file, made)
        for task in ("ingest", "normalize"):
            given = file if task == "ingest" else None
            measure(task_command(task, store.root, KEY, COMMON, given))
        file.unlink()
    return store


def run(store: Store, ways: Mapping[str, int]) -> list[Row]:
    """A row for each way to train on normalized ratings, by its number of workers."""
    counts = store.required_outcome(KEY, "normalize")
    rows: list[Row] = []
    local = np.empty(0)
    for way, n_workers in ways.items():
        engine = {"engine": "ray", "ray_workers": n_workers} if n_workers else {}
        settings = {**COMMON, **engine}
        measured = measure(task_command("train", store.root, KEY, settings))
        path = store.table(KEY, "training") / "losses.parquet"
        losses = pq.read_table(path)["J"].to_numpy()
        local = losses if not n_workers else local
        rows.append(
            Row(
                counts["n_ratings"],
                counts["n_items"],
                way,
                n_workers,
                store.required_outcome(KEY, "train")["seconds"],
                measured.peak_mb,
                float(np.max(np.abs(losses / local - 1))),
                bytes_a_step(counts["n_items"], n_workers) / 1e6,
                {
                    size: fit_steps(store.root, KEY, {**settings, "ratings_per_step": size})
                    for size in step_sizes(counts["n_ratings"])
                },
            )
        )
    return rows


def run_spark(store: Store, folder: Path, limit: float) -> list[SparkFit]:
    """A row for each number of Spark's threads, on the same normalized ratings."""
    table = store.table(KEY, "normalized") / "ratings.parquet"
    counts = store.required_outcome(KEY, "normalize")
    return [
        spark_growth.run(table, folder / "spark", counts, N_FACTORS, n_threads, limit)
        for n_threads in SPARK_THREADS
    ]


def step_sizes(n_ratings: int) -> list[int]:
    """Ratings of a step as large as by default, and of one LARGE times as large.

    All ratings are used once in a whole number of steps, so a step has not any number of them.
    """
    steps = Objective(ratings_per_step=None).steps_per_round(n_ratings)
    return [-(-n_ratings // n) for n in (steps, max(1, steps // LARGE))]


def bytes_a_step(n_items: int, n_workers: int) -> int:
    """What goes between the places of a step: X and the prior out, the gradients back."""
    return 2 * n_workers * 4 * N_FACTORS * (n_items + 1)


def tabulate(rows: list[Row], sparks: list[SparkFit]) -> Table:
    """The rows, seconds beside those of one process; of each size Spark's come last."""
    columns = ["ratings", "items", "way", "train s", "x local", "ready s", "step ms", "x local"]
    columns += ["round s", "rows s", "train MB", "task MB", "worker MB", "MB a step", "losses by"]
    table = Table(*columns)
    local = {(row.ratings, row.items): row for row in rows if not row.workers}
    for size, alone in local.items():
        for row in rows:
            if (row.ratings, row.items) == size:
                table.add_row(*_cells(row, alone))
        for spark in sparks:
            if (spark.ratings, spark.items) == size:
                table.add_row(*spark.cells(alone.seconds))
    return table


def _cells(row: Row, alone: Row) -> list[str]:
    steps = row.usual
    return [
        f"{row.ratings:,}",
        f"{row.items:,}",
        row.way,
        f"{row.seconds:.1f}",
        f"{row.seconds / alone.seconds:.2f}",
        f"{steps.ready:.1f}",
        f"{1000 * steps.step:.0f}",
        f"{steps.step / alone.usual.step:.2f}",
        f"{row.round_seconds:.1f}",
        f"{steps.rows:.1f}",
        f"{row.peak_mb:.0f}",
        f"{steps.task_mb:.0f}",
        f"{steps.worker_mb:.0f}",
        f"{row.mb_a_step:.1f}",
        f"{row.losses:.0e}",
    ]


def tabulate_check(rows: list[Row], cost: StepCost) -> Table:
    """Measured steps of the workers beside those that the model gives."""
    columns = ("ratings", "of a step", "items", "way", "step ms", "by the model", "fitted to")
    table = Table(*columns)
    last = rows[-1].ratings, rows[-1].items
    for row in fitting(rows, all_sizes=True):
        for step in row.measured:
            modelled = cost.seconds(step.n_ratings, row.items * N_FACTORS, row.workers)
            table.add_row(
                f"{row.ratings:,}",
                f"{step.n_ratings:,}",
                f"{row.items:,}",
                row.way,
                f"{1000 * step.seconds:.0f}",
                f"{1000 * modelled:.0f}",
                "no" if (row.ratings, row.items) == last else "yes",
            )
    return table


def fitting(rows: list[Row], all_sizes: bool = False) -> list[Row]:
    """Rows of workers that have a core each; not those of the last size, unless of all sizes."""
    last = rows[-1].ratings, rows[-1].items
    cores = int(machine()["cores"])
    return [
        row
        for row in rows
        if 1 <= row.workers <= cores and (all_sizes or (row.ratings, row.items) != last)
    ]


def main(
    sizes: Annotated[str, typer.Option(help="Numbers of ratings and of items.")] = SIZES,
    folder: FolderOption = FOLDER,
    spark_minutes: Annotated[
        float, typer.Option(help="After how many minutes Spark is stopped; 0: leave it out.")
    ] = 30,
) -> None:
    """Print seconds and memory of train on one machine, on Ray and of Spark, and plans; as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = [list(map(int, size.split("x"))) for size in sizes.split(",")]
    lack = spark_growth.missing() if spark_minutes else "no minutes are given to it"
    rows: list[Row] = []
    sparks: list[SparkFit] = []
    for shape in shapes:
        store = normalized(folder, *shape)
        rows += run(store, MORE_WAYS if shape == shapes[-1] else WAYS)
        sparks += [] if lack else run_spark(store, folder, 60 * spark_minutes)
    stands: dict[str, Any] = machine() | ({} if lack else contest.versions(["pyspark"]))
    result = {
        "machine": stands,
        "rows": list(map(asdict, rows)),
        "spark": list(map(asdict, sparks)),
    }
    (folder / "scaling.json").write_text(json.dumps(result, indent=2) + "\n")
    console = Console(width=190)
    console.print(tabulate(rows, sparks))
    print(f"Spark is left out: {lack}" if lack else spark_growth.NOTE)
    print_model(rows, console)
    print(", ".join(f"{name} {value}" for name, value in stands.items()))


def print_model(rows: list[Row], console: Console) -> None:
    """A model of a step's cost, how well it meets what it was not fitted to, and plans by it."""
    if not (fitted := fitting(rows)):
        return
    cost = StepCost.fitted([step for row in fitted for step in row.measured])
    console.print(tabulate_check(rows, cost))
    print(
        f"a step: {1e6 * cost.rating:.2f} microseconds a rating and processor, "
        f"{1e9 * cost.number:.1f} nanoseconds a number of X, {1000 * cost.call:.1f} ms"
    )
    solved = max(fitted, key=lambda row: row.ratings)
    rows_cost = solved.usual.rows * solved.workers / solved.ratings
    console.print(tabulate_plans(cost, rows_cost))


if __name__ == "__main__":
    typer.run(main)
