"""The peers of similar_items.py, in their own environment.

Each is tuned on the last fifth of each user's known ratings, then fitted to all of them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.contest import THREADS, main
from benchmarks.data import last_fifth, read
from benchmarks.quality_peers import combinations, matrix
from benchmarks.similar_hits import K, hit_rate
from cofi_jobs.core.ratings import Ratings

Grid = Mapping[str, Sequence[Any]]
Fit = Callable[..., np.ndarray]  # of a matrix (n_users, n_items): neighbours (n_items, K)


def popularity(positive: csr_matrix) -> np.ndarray:
    """The items with the most users, for every item."""
    n_users = np.asarray(positive.sum(axis=0)).ravel()
    best = np.argsort(-n_users, kind="stable")[: K + 1]
    return without_itself(np.tile(best, (positive.shape[1], 1)))


def als(positive: csr_matrix, **options: Any) -> np.ndarray:
    """implicit's `similar_items` of its alternating least squares."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(num_threads=THREADS, random_state=0, **options)
    return similar_items(model, positive)


def knn(positive: csr_matrix, recommender: str) -> np.ndarray:
    """implicit's `similar_items` of the item-kNN with this name."""
    from implicit import nearest_neighbours

    model = getattr(nearest_neighbours, recommender)(K=K + 1, num_threads=THREADS)
    return similar_items(model, positive)


def similar_items(model: Any, positive: csr_matrix) -> np.ndarray:
    """Fit the model; its neighbours of each item."""
    model.fit(positive, show_progress=False)
    items, _ = model.similar_items(np.arange(positive.shape[1]), N=K + 1)
    return without_itself(items)


def without_itself(table: np.ndarray) -> np.ndarray:
    """The first K of K + 1 neighbours that are not the item itself, the row's number."""
    others = table != np.arange(len(table))[:, None]
    others[others.all(axis=1), -1] = False
    return table[others].reshape(len(table), K)


ALS: Grid = {
    "factors": (32, 64, 128),
    "regularization": (0.1, 1.0, 10.0),
    "alpha": (1.0, 5.0, 20.0),
}
PEERS: Mapping[str, tuple[Fit, Grid]] = {
    "popularity": (popularity, {}),
    "implicit ALS": (als, ALS),
    "implicit item-kNN": (knn, {"recommender": ("CosineRecommender", "BM25Recommender")}),
}


def tuned(fit: Fit, grid: Grid, known: Ratings, liked_from: float) -> dict[str, Any]:
    """The choice with the best hit rate on the last fifth of each user's known ratings."""
    is_validation = last_fifth(known.user_index)
    train, validation = known.where(~is_validation), known.where(is_validation)

    def rate(choice: dict[str, Any]) -> float:
        return hit_rate(fit(matrix(train), **choice), *liked(train, validation, liked_from))

    choices = list(combinations(grid))
    return max(choices, key=rate) if len(choices) > 1 else choices[0]


def liked(known: Ratings, held_out: Ratings, liked_from: float) -> tuple[Ratings, Ratings]:
    """The liked ratings of both parts."""
    return known.where(known.rating >= liked_from), held_out.where(held_out.rating >= liked_from)


def judged(name: str, data: Path, output: Path, options: Mapping[str, Any]) -> None:
    """Tune a peer; write its neighbours and its choice."""
    known, (fit, grid) = read(data, "known"), PEERS[name]
    choice = tuned(fit, grid, known, options["liked_from"])
    np.save(output / "neighbours.npy", fit(matrix(known), **choice))
    (output / "tuned.json").write_text(json.dumps(choice))


if __name__ == "__main__":
    main({name: partial(judged, name) for name in PEERS})
