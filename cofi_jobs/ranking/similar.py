"""An item's nearest others."""

from collections.abc import Sequence

import numpy as np

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.ranking.top_k import top_k_unrated

# Ratings of an item from which its direction tells more than it leaves open (docs/model.md).
EVIDENCE = 20.0


def similarity_vectors(X: np.ndarray, n_ratings: np.ndarray, measure: str) -> np.ndarray:
    """The vectors (n_items, n_factors) that `nearest` compares, from factors X of items.

    `n_ratings` (n_items,) is what X was learned from, weighted by trust. For "distance" they are X.
    For "cosine" they have length sqrt(n / (n + 20)), so that the product of two is their cosine,
    shrunk by what each item's ratings leave open: as if each X had another part, at right angles to
    all others, whose squared length is 20 / n times that of the known part.
    """
    if measure != "cosine":
        return X
    vectors = to_unit_length(X)
    vectors *= np.sqrt(n_ratings / (n_ratings + EVIDENCE)).astype(X.dtype)[:, None]
    return vectors


def nearest(
    vectors: np.ndarray,
    items: slice | np.ndarray,
    k: int,
    measure: str,
    excluded: Sequence[int] | np.ndarray = (),
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest others of some items: int32 items, and their similarity or distance.

    Both are (n, k). `vectors` are those of `similarity_vectors` for this measure: "cosine", their
    product (largest first), or "distance", the squared distance |x_k - x_i|^2 (smallest first).
    Items in `excluded` are never given as a neighbour. Where fewer than k others are left, the last
    values are not finite.
    """
    rows = np.arange(len(vectors))[items]
    if measure == "cosine":
        scores = vectors[items] @ vectors.T
    else:
        squares = np.einsum("nk,nk->n", vectors, vectors)
        scores = -np.maximum(squares[items, None] + squares - 2 * vectors[items] @ vectors.T, 0)
    scores[:, np.asarray(excluded, np.intp)] = -np.inf
    k = min(k, len(vectors) - 1)
    columns, values = top_k_unrated(scores, np.arange(len(rows)), rows, k)
    return columns, np.minimum(values, 1) if measure == "cosine" else -values
