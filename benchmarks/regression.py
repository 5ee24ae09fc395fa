"""Whether something has become slow: our processor time by a peer's in the same run.

Both sides take turns and the least of each counts, so that neither the machine nor what else runs
on it matters much. A limit is about twice what was found when it was set; processors differ, most
in the products of small matrices.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Column, Table
from threadpoolctl import threadpool_limits

from benchmarks.ingest import SETTINGS, files
from benchmarks.measure import task_command
from cofi_jobs.core.arrays import tally
from cofi_jobs.model.gradients import FullGradient
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.row_solver import RowSolver
from cofi_jobs.model.user_ratings import by_user
from cofi_jobs.ranking.similar import nearest
from cofi_jobs.ranking.top_k import top_k_unrated

ROUNDS = 7
N_USERS, N_ITEMS, N_FACTORS, TOP_N = 300, 20_000, 64, 20
FEW_ITEMS = 2_000  # of which the same users' ratings are dense
DAGS = Path(__file__).parents[1] / "dags"
LIMITS = {
    "a block of lists, by the product of its factors": 3.0,
    "a block of similar items, by the product": 3.0,
    "exact rows of users, by their products one by one": 8.0,
    "a gradient, by NumPy's": 1.5,
    "a gradient of ratings of few items, by one of many": 0.8,
    "ingest of a night on 1,000,000 ratings, by one on 100,000": 1.3,
    "Airflow's start with the parsing of our DAGs, by one without": 1.5,
}


def ratios() -> list[float]:
    """Each ratio of LIMITS."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N_ITEMS, N_FACTORS), dtype=np.float32)
    W = rng.standard_normal((N_USERS, N_FACTORS), dtype=np.float32)
    user = np.repeat(np.arange(N_USERS, dtype=np.int32), rng.integers(20, 300, N_USERS))
    item = rng.integers(0, N_ITEMS, len(user)).astype(np.int32)
    y = rng.standard_normal(len(user), dtype=np.float32)
    ends = np.searchsorted(user, np.arange(N_USERS + 1))
    objective = Objective(bias=False)
    ratings = by_user(user, item, y, N_USERS)
    of_few_items = by_user(user, item % FEW_ITEMS, y, N_USERS)
    item_counts = tally(item, N_ITEMS)
    whole = FullGradient(objective, ratings, item_counts)
    dense = FullGradient(objective, of_few_items, tally(of_few_items.item_index, FEW_ITEMS))
    solver = RowSolver(objective, X, item_counts)

    def products() -> None:
        for start, end in pairwise(ends):
            rated = X[item[start:end]]
            rated.T @ rated

    def gradients() -> None:
        # As the tape's, by X and by W.
        of_user, of_item = W[user], X[item]
        error = np.einsum("nk,nk->n", of_user, of_item) - y
        np.add.at(np.zeros_like(X), item, error[:, None] * of_user)
        np.add.at(np.zeros_like(W), user, error[:, None] * of_item)

    with threadpool_limits(1, "blas"), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, many = (_nightly_ingest(folder, size) for size in (100_000, 1_000_000))
        return [
            _ratio(lambda: top_k_unrated(W @ X.T, user, item, TOP_N), lambda: W @ X.T),
            _ratio(
                lambda: nearest(X, slice(0, N_USERS), TOP_N, "cosine"), lambda: X[:N_USERS] @ X.T
            ),
            _ratio(lambda: solver.rows(ratings), products),
            _ratio(lambda: whole.next_step({"X": X, "W": W}), gradients),
            _ratio(
                lambda: dense.next_step({"X": X[:FEW_ITEMS], "W": W}),
                lambda: whole.next_step({"X": X, "W": W}),
            ),
            _ratio(many, few),
            _ratio(
                _start_of_airflow(folder, DAGS),
                _start_of_airflow(folder, folder / "none"),
                rounds=5,
            ),
        ]


def _ratio(ours: Callable[[], object], peer: Callable[[], object], rounds: int = ROUNDS) -> float:
    took: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for seconds, run in zip(took, (ours, peer), strict=True):
            start = _processor_seconds()
            run()
            seconds.append(_processor_seconds() - start)
    return min(took[0]) / min(took[1])


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _nightly_ingest(folder: Path, size: int) -> Callable[[], None]:
    """Loads a store; the function it returns ingests a few new ratings, other ones each time."""
    source, number = files(folder, size, 1000), 0

    def ingest(ratings: Path) -> None:
        nonlocal number
        number += 1
        command = task_command(
            "ingest", folder / f"store-{size}", f"{number:03}", SETTINGS, ratings
        )
        subprocess.run(command, check=True, capture_output=True)

    ingest(source["first"])
    return lambda: ingest(source["nightly"])


def _start_of_airflow(home: Path, dags: Path) -> Callable[[], None]:
    """Starts Airflow and parses a folder's DAG files, if there is one, in its own process."""
    parse = "import sys; from airflow.dag_processing.dagbag import DagBag; DagBag(sys.argv[1])"
    environment = {**os.environ, "AIRFLOW_HOME": str(home)}

    def start() -> None:
        subprocess.run(
            [sys.executable, "-c", parse, str(dags)],
            env=environment,
            check=True,
            capture_output=True,
        )

    return start


def main() -> None:
    """Print each ratio with its limit; fail where one is exceeded."""
    table = Table(
        "processor time of", Column("ratio", justify="right"), Column("limit", justify="right")
    )
    slow = []
    for (what, limit), ratio in zip(LIMITS.items(), ratios(), strict=True):
        table.add_row(what, f"{ratio:.2f}", f"{limit:.2f}")
        if ratio > limit:
            slow.append(f"error: {what}: found {ratio:.2f}, expected at most {limit:.2f}")
    Console(width=100).print(table)
    if slow:
        sys.exit("\n".join(slow))


if __name__ == "__main__":
    typer.run(main)
