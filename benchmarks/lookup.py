"""The look-up of one user among a million: its time, and how much of the files it reads."""

import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from cofi_jobs import read
from cofi_jobs.store import schemas as tables
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.publish import describe
from cofi_jobs.tasks.recommend import write_whole

TOP_N, N_ITEMS, USERS_PER_BLOCK = 20, 26_700, 1024
KEY = "night"


def lists(n_users: int, kind: str) -> Iterator[pa.Table]:
    """Random lists in the blocks that `recommend` writes."""
    rng = np.random.default_rng(0)
    schema = tables.recommendations(tables.ID_TYPES[kind], pa.int64())
    for start in range(0, n_users, USERS_PER_BLOCK):
        users = np.arange(start, min(start + USERS_PER_BLOCK, n_users)).repeat(TOP_N)
        size = len(users)
        ids = users if kind == "integer" else [f"user-{user:08}" for user in users]
        rank = np.tile(np.arange(1, TOP_N + 1, dtype=np.int32), size // TOP_N)
        items, because = rng.integers(0, N_ITEMS, (2, size))
        score, stars = rng.random((2, size), np.float32)
        yield pa.table([pa.array(ids), rank, items, score, 1 + 4 * stars, because], schema=schema)


def bytes_read() -> int:
    """Bytes that this process has read through system calls so far."""
    with Path("/proc/self/io").open() as file:
        return int(next(line for line in file if line.startswith("rchar")).split()[1])


def main(
    users: Annotated[int, typer.Option(help="Users in the table.")] = 1_000_000,
    looks: Annotated[int, typer.Option(help="Look-ups to measure, after one to warm up.")] = 50,
) -> None:
    """Print the median and the slowest look-up, and what one reads."""
    table = Table(
        "user_id", "users", "MB on disk", "median ms", "slowest ms", "MB read by one", "peak MB"
    )
    for kind in ("integer", "string"):
        with tempfile.TemporaryDirectory() as folder:
            store = Store(folder).create()
            with store.replace_folder(store.table(KEY, "recommendations")) as target:
                write_whole(lists(users, kind), target)
            files = sorted(store.table(KEY, "recommendations").iterdir())
            described = [describe(path, store.table(KEY, "")) for path in files]
            store.records.write_manifest(
                KEY, {"run_key": KEY, "id_types": {"user_id": kind}, "files": described}
            )
            store.set_current(KEY)
            size = sum(file["bytes"] for file in described)
            chosen = np.random.default_rng(1).integers(0, users, looks + 1)
            seconds, sizes = [], []
            for user in chosen if kind == "integer" else [f"user-{user:08}" for user in chosen]:
                before, start = bytes_read(), time.perf_counter()
                listed = read.recommendations(store.root, str(user))
                seconds.append(time.perf_counter() - start)
                sizes.append(bytes_read() - before)
                assert listed["user_id"].tolist() == [user] * TOP_N
            times = [1000 * each for each in seconds[1:]]
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            table.add_row(
                kind,
                f"{users:,}",
                f"{size / 1e6:.0f}",
                f"{statistics.median(times):.1f}",
                f"{max(times):.1f}",
                f"{max(sizes[1:]) / 1e6:.2f}",
                f"{peak:.0f}",
            )
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
