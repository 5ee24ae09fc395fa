"""What it costs to notice damaged files, as a share of a night.

Two nights of made-up ratings run in this process. Measured is how long each task computes SHA-256:
of the files that it reads, and of those that it has written. Checksums of pages are measured on the
lists of the second night: written and read with them, and without.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Annotated

import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.ingest import NIGHTS, SETTINGS, files
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import digests, parquet
from cofi_jobs.store import store as stores
from cofi_jobs.store.digests import FileDigest
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_task

FOLDER = Path(tempfile.gettempdir()) / "cofi-integrity"
REPEATS = 5


class Hashing:
    """How long SHA-256 are computed: it stands for `digests.measure`."""

    def __init__(self) -> None:
        self.seconds, self.megabytes = 0.0, 0.0
        self._measure = digests.measure
        digests.measure = stores.measure = self

    def __call__(self, content: IO[bytes]) -> FileDigest:
        """The digest of what can be read."""
        start = time.perf_counter()
        digest = self._measure(content)
        self.seconds += time.perf_counter() - start
        self.megabytes += digest["bytes"] / 1e6
        return digest


def night(store: Store, run_key: str, source: Path, hashing: Hashing, table: Table) -> None:
    """Run all tasks of a night; a row for each task, and one for all."""
    given = {**SETTINGS, "force_publish": True}
    settings = load_settings([f"{name}={json.dumps(value)}" for name, value in given.items()])
    all_seconds = all_hashing = 0.0
    for task in TASKS:
        hashing.seconds = hashing.megabytes = 0
        start = time.perf_counter()
        inputs = {"ratings": [source]} if task == "ingest" else {}
        run_task(task, store, settings, run_key, **inputs)
        seconds = time.perf_counter() - start
        all_seconds += seconds
        all_hashing += hashing.seconds
        _row(table, run_key, task, seconds, hashing.seconds, f"{hashing.megabytes:,.1f}")
    _row(table, run_key, "all", all_seconds, all_hashing)


def _row(
    table: Table, night: str, task: str, seconds: float, hashing: float, size: str = ""
) -> None:
    table.add_row(night, task, f"{seconds:.2f}", size, f"{hashing:.3f}", f"{hashing / seconds:.1%}")


def median_seconds(work: Callable[[], object]) -> float:
    """Of some repetitions, after one to warm up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def pages(store: Store, run_key: str, folder: Path) -> tuple[float, float]:
    """Seconds with checksums of pages by those without: to write a run's lists, to read them."""
    lists = parquet.read_table(store.table(run_key, "recommendations"))
    path, plain = folder / "with.parquet", folder / "without.parquet"
    written = median_seconds(lambda: parquet.write_table(lists, path)) / median_seconds(
        lambda: pq.write_table(lists, plain, compression=parquet.COMPRESSION)
    )
    read = median_seconds(lambda: parquet.read_table(path)) / median_seconds(
        lambda: pq.read_table(path)
    )
    return written, read


def main(
    ratings: Annotated[int, typer.Option(help="Ratings of the first night.")] = 1_000_000,
    nightly: Annotated[int, typer.Option(help="New ratings of the second.")] = 20_000,
) -> None:
    """Print each task's seconds, those of hashing, and their share; and the cost of checksums."""
    FOLDER.mkdir(exist_ok=True)
    source, hashing = files(FOLDER, ratings, nightly), Hashing()
    table = Table("night", "task", "seconds", "MB hashed", "seconds of hashing", "share")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        for name in NIGHTS:
            night(store, f"{NIGHTS.index(name)}-{name}", source[name], hashing, table)
        written, read = pages(store, f"{len(NIGHTS) - 1}-{NIGHTS[-1]}", Path(folder))
    Console().print(table)
    Console().print(
        f"checksums of pages: writing takes {written:.2f} times as long, reading {read:.2f}"
    )


if __name__ == "__main__":
    typer.run(main)
