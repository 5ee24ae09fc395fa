"""Exact top-k of many rows of scores at once.

Two steps, each exact: of every run of 32 neighbouring columns take the maximum and keep the k best runs; then take
the k best scores inside those runs. An entry among the k best cannot be in another run: the k runs kept would each
hold something better. Sorting k * 32 candidates is much cheaper than sorting a whole row.
"""

import numpy as np

RUN = 32


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and values of the k largest entries of each row, largest first; ties go to the lower column.

    `scores` is float (n_rows, n_columns) without NaN; -inf marks an entry that must not be taken. Returns int32
    columns and values, both (n_rows, min(k, n_columns)); where a row has fewer takeable entries its last values are
    -inf.
    """
    n_rows, n_columns = scores.shape
    k = min(k, n_columns)
    n_runs = -(-n_columns // RUN)
    if k * RUN * 2 < n_columns:
        best = np.full((n_rows, n_runs), -np.inf, scores.dtype)
        whole = n_columns // RUN
        best[:, :whole] = scores[:, : whole * RUN].reshape(n_rows, whole, RUN).max(axis=2)
        if whole < n_runs:
            best[:, whole] = scores[:, whole * RUN :].max(axis=1)
        runs = _largest(best, k)
        columns = (runs[:, :, None] * RUN + np.arange(RUN, dtype=np.int32)).reshape(n_rows, -1)
        # The last run may reach past the end; such candidates repeat the last column and count as masked.
        outside = columns >= n_columns
        candidates = np.take_along_axis(scores, np.minimum(columns, n_columns - 1), axis=1)
        candidates[outside] = -np.inf
    else:
        columns = np.broadcast_to(np.arange(n_columns, dtype=np.int32), scores.shape)
        candidates = scores
    chosen = _largest(candidates, k)
    columns = np.take_along_axis(columns, chosen, axis=1)
    values = np.take_along_axis(candidates, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(values, order, axis=1)


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest entries of each row in ascending order of column; ties go to the lower column."""
    n_rows, n_columns = values.shape
    if k in (0, n_columns):
        return np.broadcast_to(np.arange(k, dtype=np.int32), (n_rows, k))
    threshold = np.partition(values, n_columns - k, axis=1)[:, n_columns - k, None]
    above = values > threshold
    ties = values == threshold
    missing = k - above.sum(axis=1, keepdims=True)
    taken = above | (ties & (np.cumsum(ties, axis=1, dtype=np.int32) <= missing))
    return np.nonzero(taken)[1].reshape(n_rows, k).astype(np.int32)


def top_k_unrated(scores: np.ndarray, rows: np.ndarray, items: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """`top_k` without the entries (rows, items), which are masked in place before the choice, so no list is short."""
    scores[rows, items] = -np.inf
    return top_k(scores, k)


def block_size(n_columns: int) -> int:
    """Rows of scores to hold at once: 64 MiB of float32, at most 1024 rows."""
    return max(1, min(1024, (64 << 20) // (4 * max(1, n_columns))))
