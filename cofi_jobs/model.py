"""What the job learns from and what it learns: ratings as columns, and the factors of one head."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Ratings:
    """Observed ratings as three columns of one length, and the size of both sides."""

    user_index: np.ndarray
    item_index: np.ndarray
    rating: np.ndarray
    n_users: int
    n_items: int

    def where(self, mask: np.ndarray) -> "Ratings":
        """The ratings that a mask selects; the sides keep their size."""
        columns = (self.user_index[mask], self.item_index[mask], self.rating[mask])
        return Ratings(*columns, self.n_users, self.n_items)


@dataclass(frozen=True)
class Factors:
    """Parameters of one head: `X` (n_items, n_features), `W` (n_users, n_features), `b` (n_users,), all float32."""

    X: np.ndarray
    W: np.ndarray
    b: np.ndarray


def initial_factors(n_items: int, n_users: int, n_features: int, seed: int) -> Factors:
    """Seeded normal numbers of standard deviation 0.1 / sqrt(n_features); `b` starts at zero."""
    rng = np.random.default_rng(seed)
    std = np.float32(0.1 / np.sqrt(n_features))
    X, W = (std * rng.standard_normal((n, n_features), dtype=np.float32) for n in (n_items, n_users))
    return Factors(X, W, np.zeros(n_users, np.float32))


def predict(factors: Factors, user_index: np.ndarray, item_index: np.ndarray) -> np.ndarray:
    """w_j.x_i + b_j for pairs of row numbers, float32; in blocks that stay in cache."""
    scores = np.empty(len(user_index), np.float32)
    block = 1 << 14
    for start in range(0, len(scores), block):
        users, items = user_index[start : start + block], item_index[start : start + block]
        products = np.einsum("nk,nk->n", factors.W[users], factors.X[items])
        scores[start : start + block] = products + factors.b[users]
    return scores


def from_newest(counts: np.ndarray) -> np.ndarray:
    """1 for the newest rating of its user, 2 for the one before, and so on.

    Users have `counts` ratings, one user's after the other's, each user's in order of time.
    """
    ends = np.cumsum(counts)
    return np.repeat(ends, counts) - np.arange(ends[-1] if len(ends) else 0)


def tally(index: np.ndarray, n: int, values: np.ndarray | None = None) -> np.ndarray:
    """How often each number below `n` occurs in `index`, or the sums of its values: np.bincount in bounded memory.

    That makes copies of both in 8 bytes.
    """
    total, block = np.zeros(n, np.int64 if values is None else np.float64), 1 << 20
    for start in range(0, len(index), block):
        part = slice(start, start + block)
        total += np.bincount(index[part], None if values is None else values[part], minlength=n)
    return total


def ranges(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of all ranges [start, start + length) after each other: which range each is of, and the number."""
    which = np.repeat(np.arange(len(starts), dtype=np.int32), lengths)
    return which, np.arange(len(which)) + (starts - np.cumsum(lengths) + lengths)[which]


def sample(n: int, most: int, seed: int) -> np.ndarray:
    """Mask (n,) of `most` of n, drawn at random; of all where there are no more."""
    chosen = np.full(n, n <= most)
    if n > most:
        chosen[np.random.default_rng(seed).choice(n, most, replace=False)] = True
    return chosen


def to_unit_length(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, n_features) scaled to length 1, so that products are cosines; zeros stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def to_column(vectors: np.ndarray) -> pa.FixedSizeListArray:
    """Vectors (n, n_features) as an Arrow column."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])


def from_column(column: pa.ChunkedArray | pa.FixedSizeListArray) -> np.ndarray:
    """Vectors (n, n_features) from an Arrow column."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.flatten().to_numpy().reshape(len(array), -1)
