"""Neighbours of items: those of a model, and those of baselines."""

from collections.abc import Callable

import numpy as np

from cofi_jobs.core.arrays import ranges
from cofi_jobs.core.machine import in_parallel
from cofi_jobs.ranking.similar import nearest, similarity_vectors
from cofi_jobs.ranking.top_k import block_size

# Others of some items (n,), the nearest first: (n, k), -1 where there is none. A table of
# neighbours T (n_items, k) is `lambda items: T[items]`.
Neighbours = Callable[[np.ndarray], np.ndarray]


def model_neighbours(X: np.ndarray, n_ratings: np.ndarray, k: int, measure: str) -> Neighbours:
    """The k nearest others in factors X, as the task `similar_items` finds them.

    Items without ratings in `n_ratings` (n_items,) are unknown: they have and are no neighbours.
    """
    vectors, known = similarity_vectors(X, n_ratings, measure), n_ratings > 0
    unknown = np.flatnonzero(~known)
    size = block_size(len(X))

    def of(items: np.ndarray) -> np.ndarray:
        def block(first: int) -> np.ndarray:
            part = items[first : first + size]
            others, values = nearest(vectors, part, k, measure, unknown)
            return np.where(np.isfinite(values) & known[part, None], others, -1)

        blocks = list(in_parallel(block, range(0, len(items), size)))
        return np.concatenate(blocks) if blocks else np.empty((0, k), np.int32)

    return of


def popular_neighbours(n_ratings: np.ndarray, k: int) -> Neighbours:
    """The k other items with the most ratings, for every item."""
    best = np.argsort(-n_ratings, kind="stable")[: k + 1]

    def of(items: np.ndarray) -> np.ndarray:
        others = best != items[:, None]
        others[others.all(axis=1), -1] = False
        return np.broadcast_to(best, others.shape)[others].reshape(len(items), len(best) - 1)

    return of


def listed_neighbours(item: np.ndarray, other: np.ndarray, k: int, n_items: int) -> Neighbours:
    """The first k others of each item in a list of pairs, which is sorted by item."""
    counts = np.bincount(item, minlength=n_items)
    starts = np.cumsum(counts) - counts

    def of(items: np.ndarray) -> np.ndarray:
        lengths = np.minimum(counts[items], k)
        row, place = ranges(starts[items], lengths)
        table = np.full((len(items), k), -1, other.dtype)
        table[row, place - starts[items][row]] = other[place]
        return table

    return of
