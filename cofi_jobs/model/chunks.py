"""Users in groups of about as many ratings, to compute on at once."""

from itertools import pairwise

import numpy as np

RATINGS_AT_ONCE = 1 << 20  # that are read, or looked through, at a time


def bounds(counts: np.ndarray, n: int) -> list[int]:
    """Where n neighbouring groups of users with `counts` ratings begin, and where the last ends.

    The groups have about as many ratings; some may be empty.
    """
    ends = np.append(0, np.cumsum(counts))
    inner = np.searchsorted(ends[1:], ends[-1] * np.arange(1, n) / n)
    return [0, *inner.tolist(), len(counts)]


def chunks(counts: np.ndarray, n: int) -> list[slice]:
    """The groups of `bounds` that are not empty."""
    return [slice(start, end) for start, end in pairwise(bounds(counts, n)) if end > start]


def chunks_of(counts: np.ndarray, n_ratings: int) -> list[slice]:
    """Neighbouring groups of users, all of about as many ratings, at most about so many."""
    return chunks(counts, -(-int(counts.sum()) // n_ratings))
