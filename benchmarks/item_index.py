"""Whether an index of the items finds each user's best ones, and how much sooner; by faiss.

The job compares each user with all items. With millions of items that takes most of a run. This
measures what an approximate index would give, on the factors that a run has published, and on as
many more made-up items as asked for: each is a real item's row with some noise. It runs in the
environment of the peers.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

TOP_N, N_USERS = 20, 2000
NOISE = 0.3  # standard deviations of the items' factors
Search = Callable[[np.ndarray], np.ndarray]  # users' factors -> item rows (n_users, TOP_N)


def factors(path: Path) -> np.ndarray:
    """The ranking model's factors in a file of a run's model, float32."""
    column = pq.read_table(path, columns=["ranking_factors"])["ranking_factors"].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def with_made_up(X: np.ndarray, n: int) -> np.ndarray:
    """At least n items: the real ones, then real ones drawn again with noise."""
    rng = np.random.default_rng(0)
    rows = X[rng.integers(len(X), size=max(0, n - len(X)))]
    noise = rng.standard_normal(rows.shape, dtype=np.float32) * (NOISE * X.std(axis=0))
    return np.concatenate([X, rows + noise])


def searches(X: np.ndarray) -> dict[str, tuple[float, Search]]:
    """Ways to find the best items by inner product; seconds to build each, and the search."""
    n, k = X.shape
    begun = time.perf_counter()
    inverted = faiss.index_factory(k, f"IVF{int(4 * np.sqrt(n))},Flat", faiss.METRIC_INNER_PRODUCT)
    inverted.train(X)
    inverted.add(X)
    built = time.perf_counter() - begun

    def probing(lists: int) -> Search:
        def search(W: np.ndarray) -> np.ndarray:
            inverted.nprobe = lists
            return inverted.search(W, TOP_N)[1]

        return search

    flat = faiss.IndexFlatIP(k)
    flat.add(X)
    ways: dict[str, tuple[float, Search]] = {"all items": (0.0, lambda W: flat.search(W, TOP_N)[1])}
    ways |= {f"inverted lists, {m} probed": (built, probing(m)) for m in (4, 16, 64)}
    begun = time.perf_counter()
    graph = faiss.IndexHNSWFlat(k, 32, faiss.METRIC_INNER_PRODUCT)
    graph.add(X)
    built = time.perf_counter() - begun

    def walking(width: int) -> Search:
        def search(W: np.ndarray) -> np.ndarray:
            graph.hnsw.efSearch = width
            return graph.search(W, TOP_N)[1]

        return search

    return ways | {f"graph (HNSW), width {m}": (built, walking(m)) for m in (32, 128, 512)}


def _timed(search: Search, W: np.ndarray) -> tuple[np.ndarray, float]:
    begun = time.perf_counter()
    return search(W), time.perf_counter() - begun


def main() -> None:
    """Print recall and time of each way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path, help="the folder model/ of a run")
    parser.add_argument("--items", type=int, default=0, help="so many items, with made-up ones")
    asked = parser.parse_args()
    model, items = asked.model, asked.items
    X = with_made_up(factors(model / "item_factors.parquet"), items)
    W = factors(model / "user_factors.parquet")
    W = W[np.random.default_rng(1).permutation(len(W))[:N_USERS]]
    table = Table("way", "built s", "ms a user", "times all items", f"recall@{TOP_N}")
    timed = {name: (built, *_timed(search, W)) for name, (built, search) in searches(X).items()}
    _, best, alone = timed["all items"]
    for name, (built, listed, seconds) in timed.items():
        recall = np.mean([len(np.intersect1d(*rows)) for rows in zip(listed, best, strict=True)])
        table.add_row(
            name,
            f"{built:.1f}",
            f"{1000 * seconds / len(W):.2f}",
            f"{seconds / alone:.3f}",
            f"{recall / TOP_N:.3f}",
        )
    print(f"{len(X):,} items, {X.shape[1]} factors, {len(W):,} users")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
