"""Exact top-k of many rows of scores at once.

The columns are dealt out to runs of 32, every n/32-th to the same run, so that the maxima of all
runs are maxima of whole vectors. At least k entries are as large as the k-th largest of these
maxima, one in each of k runs. So the k best are among the entries that reach the k-th maximum, and
few other entries do.
"""

import numpy as np

RUN = 32


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and values of the k largest entries of each row, largest first.

    Ties go to the lower column. `scores` is float (n_rows, n_columns) without NaN; -inf marks an
    entry that must not be taken. Returns int32 columns and values, both
    (n_rows, min(k, n_columns)). Where a row has fewer entries to take, its last values are -inf.
    """
    n_rows, n_columns = scores.shape
    k = min(k, n_columns)
    n_runs = n_columns // RUN
    if k == 0 or k * 2 > n_runs:
        return _sorted(scores, k)
    end = n_runs * RUN
    runs, rest = scores[:, :end].reshape(n_rows, RUN, n_runs), scores[:, end:]
    maxima = runs.max(axis=1)
    threshold = np.partition(maxima, n_runs - k, axis=1)[:, n_runs - k, None]
    reach = maxima >= threshold
    many = np.count_nonzero(reach, axis=1) > 2 * k  # many ties, or fewer than k entries to take
    reach[many] = False
    row, run = np.divmod(np.flatnonzero(reach), n_runs)  # faster than nonzero
    near = runs[row, :, run]
    which, place = np.divmod(np.flatnonzero(near >= threshold[row]), RUN)
    row_of_rest, place_of_rest = np.nonzero((rest >= threshold) & ~many[:, None])
    value = np.concatenate([near[which, place], rest[row_of_rest, place_of_rest]])
    row = np.concatenate([row[which], row_of_rest])
    column = np.concatenate([place * n_runs + run[which], end + place_of_rest])
    order = np.lexsort([column, -value, row])
    counts = np.bincount(row, minlength=n_rows)
    best = order[(np.cumsum(counts) - counts)[~many, None] + np.arange(k)]
    columns, values = np.empty((n_rows, k), np.int32), np.empty((n_rows, k), scores.dtype)
    columns[~many], values[~many] = column[best], value[best]
    if many.any():
        columns[many], values[many] = _sorted(scores[many], k)
    return columns, values


def _sorted(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """`top_k` by a look at every entry."""
    columns = _largest(scores, k)
    values = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(values, order, axis=1)


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest entries of each row, ascending; ties go to the lower column."""
    n_rows, n_columns = values.shape
    if k in (0, n_columns):
        return np.broadcast_to(np.arange(k, dtype=np.int32), (n_rows, k))
    threshold = np.partition(values, n_columns - k, axis=1)[:, n_columns - k, None]
    above = values > threshold
    ties = values == threshold
    missing = k - above.sum(axis=1, keepdims=True)
    taken = above | (ties & (np.cumsum(ties, axis=1, dtype=np.int32) <= missing))
    return np.nonzero(taken)[1].reshape(n_rows, k).astype(np.int32)


def top_k_unrated(
    scores: np.ndarray, rows: np.ndarray, items: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """`top_k` without the entries (rows, items), which are masked in place.

    They are masked before the choice, so no list is short.
    """
    scores[rows, items] = -np.inf
    return top_k(scores, k)


def block_size(n_columns: int) -> int:
    """Rows of scores that a thread holds at once: 32 MiB of float32, at most 1024 rows."""
    return max(1, min(1024, (32 << 20) // (4 * max(1, n_columns))))
