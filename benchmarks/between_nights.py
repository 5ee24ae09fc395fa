"""A list between two nights: seconds to load a run, milliseconds for a call, beside two peers.

The factors are made up, as the time does not depend on them. The peers do less: `numpy` solves the
row of the ranking model and takes the largest scores, `implicit` does so with `recalculate_user`,
from the environment of the peers (`PEERS_VENV`) if it is there. Ours also predicts ratings, gives
reasons, and turns ids and titles into rows.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from cofi_jobs.core.machine import one_blas_thread
from cofi_jobs.serve import Recommender
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import schemas
from cofi_jobs.store.store import Store
from cofi_jobs.store.vectors import to_column

KEY, N_FACTORS, TOP_N, RATED, N_USERS, CALLS = "night", 64, 20, 100, 20_000, 100
PEER = Path(__file__).with_name("between_nights_peer.py")


def write_run(store: Store, X: np.ndarray) -> None:
    """A published run with these factors for both models, and `RATED` ratings of each user."""
    n_items, rng = len(X), np.random.default_rng(1)
    ids, users = np.arange(n_items), np.arange(N_USERS, dtype=np.int32)
    item_index = rng.integers(0, n_items, N_USERS * RATED, np.int32)
    counts = np.maximum(1, np.bincount(item_index, minlength=n_items)).astype(np.int32)
    means = np.full(n_items, 3.5, np.float32)
    factors = pa.table(
        [ids, to_column(X), to_column(X), means, counts],
        schema=schemas.item_factors(pa.int64(), X.shape[1]),
    )
    titles = [f"Title {item}" for item in ids]
    items = pa.table({"item_index": ids, "item_id": ids, "title": titles, "groups": titles})
    popular = pa.table(
        [np.arange(1, 101, dtype=np.int32), ids[:100], counts[:100].astype(np.float32)],
        schema=schemas.popular_items(pa.int64()),
    )
    stars = rng.integers(1, 6, len(item_index)).astype(np.float32)
    ratings = {"user_index": users.repeat(RATED), "item_index": item_index, "rating": stars}
    ratings["timestamp"] = np.arange(len(stars)).astype("datetime64[s]")
    tables = {
        "model/item_factors": factors,
        "normalized/items": items,
        "normalized/users": pa.table({"user_index": users, "user_id": users.astype(np.int64)}),
        "normalized/ratings": pa.table(ratings),
        "popular_items/part-00000": popular,
    }
    for name, table in tables.items():
        path = store.table(KEY, f"{name}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, row_group_size=122_880)  # as DuckDB writes
    manifest = {
        "run_key": KEY,
        "settings": Settings().model_dump(),
        "scale": [1.0, 5.0],
        "liked_from": 4.0,
        "metrics": {"ranking": {"ndcg@10": None}},
        "id_types": {"user_id": "integer", "item_id": "integer"},
    }
    store.records.write_manifest(KEY, manifest)
    store.set_current(KEY)


def milliseconds(call: Callable[[int], object]) -> tuple[float, float]:
    """Median and slowest of `CALLS` calls, after one to warm up."""
    seconds = []
    for number in range(CALLS + 1):
        start = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[1:]), 1000 * max(seconds[1:])


def numpy_lists(X: np.ndarray, rated: np.ndarray) -> Callable[[int], object]:
    """The exact row of the ratings `rated` (n_lists, n_ratings), and the largest scores by it."""
    gram = X.T @ X

    def call(number: int) -> np.ndarray:
        items = rated[number % len(rated)]
        vectors = X[items]
        A = 0.1 * gram + vectors.T @ vectors + np.eye(len(gram), dtype=np.float32)
        scores = X @ np.linalg.solve(A, vectors.sum(axis=0))
        scores[items] = -np.inf
        best = np.argpartition(scores, -TOP_N)[-TOP_N:]
        return best[np.argsort(-scores[best])]

    return call


def implicit_lists(folder: Path, X: np.ndarray, rated: np.ndarray) -> tuple[float, float] | None:
    """The same from implicit; None without its environment."""
    python = Path(os.environ.get("PEERS_VENV", ".venv-peers")) / "bin" / "python"
    if not python.exists():
        return None
    np.save(folder / "X.npy", X)
    np.save(folder / "rated.npy", rated)
    command = [str(python), str(PEER), str(folder), str(CALLS), str(TOP_N)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    median, slowest = json.loads(run.stdout)
    return median, slowest


def main(items: Annotated[int, typer.Option(help="Items of the run.")] = 50_000) -> None:
    """Print the seconds of the load, and the median and the slowest of 100 calls."""
    rng = np.random.default_rng(0)
    X = (0.1 * rng.standard_normal((items, N_FACTORS))).astype(np.float32)
    rated = np.array([rng.choice(items, RATED, replace=False) for _ in range(50)])
    one_blas_thread()
    table = Table("lists", "items", "median ms", "slowest ms", title=f"{RATED} ratings a user")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder).create()
        write_run(store, X)
        start = time.perf_counter()
        recommender = Recommender(store)
        load = time.perf_counter() - start
        new = [dict.fromkeys(row.tolist(), 4.0) for row in rated]
        contestants = {
            "CoFi, a new user": milliseconds(lambda n: recommender.recommend_for(new[n % 50])),
            "CoFi, a user of the run": milliseconds(
                lambda n: recommender.recommend_for({n: 5.0}, user_id=37 * n)
            ),
            "numpy, row and top 20 alone": milliseconds(numpy_lists(X, rated)),
            "implicit, recalculate_user": implicit_lists(Path(folder), X, rated),
        }
    for name, measured in contestants.items():
        cells = [f"{each:.1f}" for each in measured] if measured else ["–", "–"]
        table.add_row(name, f"{items:,}", *cells)
    console = Console(width=100)
    console.print(table)
    console.print(f"The run was loaded in {load:.1f} seconds.")


if __name__ == "__main__":
    typer.run(main)
