"""An item's nearest others."""

from collections.abc import Sequence

import numpy as np

from cofi_jobs.ranking.top_k import top_k_unrated


def nearest(
    X: np.ndarray, items: slice, k: int, measure: str, excluded: Sequence[int] | np.ndarray = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest others of a range of items: int32 items, and their similarity or distance.

    Both are (n, k). `measure` is "cosine" (largest first), for which rows of X must have length 1,
    or "distance", the squared distance |x_k - x_i|^2 (smallest first). Rows of X in `excluded` are
    never given as a neighbour. Where fewer than k others are left, the last values are not finite.
    """
    rows = np.arange(items.start, items.stop)
    if measure == "cosine":
        scores = X[items] @ X.T
    else:
        squares = np.einsum("nk,nk->n", X, X)
        scores = -np.maximum(squares[items, None] + squares - 2 * X[items] @ X.T, 0)
    scores[:, np.asarray(excluded, np.intp)] = -np.inf
    columns, values = top_k_unrated(scores, rows - items.start, rows, min(k, len(X) - 1))
    return columns, np.minimum(values, 1) if measure == "cosine" else -values
