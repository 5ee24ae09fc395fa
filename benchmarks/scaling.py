"""`train` in one process and on workers of Ray, on the same made-up ratings, a core for each.

Each way runs in a process of its own. Seconds are those of the task's work; with Ray they contain
the start of a cluster on this machine and that of its workers. Bytes are what a step sends, by the
sizes of what is sent.
"""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import synthetic
from benchmarks.measure import machine, measure, task_command
from benchmarks.options import FolderOption
from cofi_jobs.store.store import Store

FOLDER = Path(tempfile.gettempdir()) / "cofi-scaling"
KEY = "night"
N_FACTORS = 64
COMMON = {"first_tuning_minutes": 0, "n_factors": N_FACTORS, "threads": 1}
WAYS = {"local": 0, "ray, 1 worker": 1, "ray, 2 workers": 2}  # workers on Ray
RATINGS_OF_USER, RATINGS_OF_ITEM = 200, 2000  # as many ratings as each has in the mean


def run(folder: Path, n_ratings: int) -> list[dict[str, Any]]:
    """A row for each way to train on so many ratings."""
    store = Store(folder / f"store-{n_ratings}").create()
    if store.outcome(KEY, "normalize") is None:
        sizes = n_ratings // RATINGS_OF_USER, max(2000, n_ratings // RATINGS_OF_ITEM)
        file = folder / f"ratings-{n_ratings}.csv"
        synthetic.write_csv(file, synthetic.ratings(n_ratings, *sizes))
        for task in ("ingest", "normalize"):
            given = file if task == "ingest" else None
            measure(task_command(task, store.root, KEY, COMMON, given))
    counts = store.required_outcome(KEY, "normalize")
    rows, losses = [], {}
    for way, n_workers in WAYS.items():
        engine = {"engine": "ray", "ray_workers": n_workers} if n_workers else {}
        measured = measure(task_command("train", store.root, KEY, {**COMMON, **engine}))
        path = store.table(KEY, "training") / "losses.parquet"
        losses[way] = pq.read_table(path)["J"].to_numpy()
        rows.append(
            {
                "ratings": counts["n_ratings"],
                "way": way,
                "seconds": store.required_outcome(KEY, "train")["seconds"],
                "peak_mb": measured.peak_mb,
                "mb_a_step": bytes_a_step(counts, n_workers) / 1e6,
                "losses": float(np.max(np.abs(losses[way] / losses["local"] - 1))),
            }
        )
    return rows


def bytes_a_step(counts: dict[str, Any], n_workers: int) -> int:
    """What goes between the places of a step: X and the prior out, the gradients back, users out.

    A hundredth of the users are in a step, about.
    """
    if not n_workers:
        return 0
    return 2 * n_workers * 4 * N_FACTORS * (counts["n_items"] + 1) + 8 * counts["n_users"] // 100


def tabulate(rows: list[dict[str, Any]]) -> Table:
    """The rows, seconds beside those of one machine."""
    table = Table(*("ratings", "way", "seconds", "times local", "peak MB", "MB a step"))
    table.add_column("losses differ by at most")
    local = {row["ratings"]: row["seconds"] for row in rows if row["way"] == "local"}
    for row in rows:
        table.add_row(
            f"{row['ratings']:,}",
            row["way"],
            f"{row['seconds']:.1f}",
            f"{row['seconds'] / local[row['ratings']]:.2f}",
            f"{row['peak_mb']:.0f}",
            f"{row['mb_a_step']:.2f}",
            f"{row['losses']:.1e}",
        )
    return table


def main(
    sizes: Annotated[str, typer.Option(help="Numbers of ratings.")] = "100000,1000000",
    folder: FolderOption = FOLDER,
) -> None:
    """Print seconds and memory of train on one machine and on Ray; also as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for size in sizes.split(",") for row in run(folder, int(size))]
    stands = machine()
    text = json.dumps({"machine": stands, "rows": rows}, indent=2) + "\n"
    (folder / "scaling.json").write_text(text)
    Console(width=100).print(tabulate(rows))
    print(", ".join(f"{name} {value}" for name, value in stands.items()))


if __name__ == "__main__":
    typer.run(main)
