"""NumPy on arrays that are grouped by user or item: counts, ranges, samples, unit vectors."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

import numpy as np


class Addable(Protocol):
    """What can be added with +."""

    def __add__(self: "Part", other: "Part") -> "Part":
        """Of this part, then of the other."""


Part = TypeVar("Part", bound=Addable)


def summed(parts: Iterable[Part]) -> Part:
    """The sum of neighbouring parts, in their order; at least one.

    They are added in pairs, and the sums again in pairs. So arrays that + joins are copied a few
    times, not once for each part.
    """
    sums: list[tuple[int, Part]] = []  # each of fewer parts than the one before, by their number
    for part in parts:
        n = 1
        while sums and sums[-1][0] == n:
            part = sums.pop()[1] + part
            n *= 2
        sums.append((n, part))
    total = sums.pop()[1]
    while sums:
        total = sums.pop()[1] + total
    return total


def from_newest(counts: np.ndarray) -> np.ndarray:
    """1 for the newest rating of its user, 2 for the one before, and so on.

    Users have `counts` ratings, one user's after the other's, each user's in order of time.
    """
    ends = np.cumsum(counts)
    return np.repeat(ends, counts) - np.arange(ends[-1] if len(ends) else 0)


def ties_among(tied: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Which of the rows that `mask` selects are tied to the selected row before them.

    `tied` marks each row that is tied to the row before it; a tie stays one without some of its
    rows.
    """
    tie = np.cumsum(~tied, dtype=np.int32)[mask]
    return np.append(False, tie[1:] == tie[:-1])[: len(tie)]


def means_of_ties(values: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """Each value replaced by the mean of its tie; `tied` marks rows tied to the row before them."""
    starts = np.flatnonzero(~tied)
    sizes = np.diff(starts, append=len(tied))
    return np.repeat(np.add.reduceat(values, starts) / sizes, sizes)


def tally(index: np.ndarray, n: int, values: np.ndarray | None = None) -> np.ndarray:
    """How often each number below `n` occurs in `index`, or the sums of its values.

    This is np.bincount in bounded memory: np.bincount copies both arrays to 8 bytes a number.
    """
    total, block = np.zeros(n, np.int64 if values is None else np.float64), 1 << 20
    for start in range(0, len(index), block):
        part = slice(start, start + block)
        total += np.bincount(index[part], None if values is None else values[part], minlength=n)
    return total


def ranges(starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of all ranges [start, start + length), one range after the other.

    Returns which range each number belongs to, and the number.
    """
    which = np.repeat(np.arange(len(starts), dtype=np.int32), lengths)
    return which, np.arange(len(which)) + (starts - np.cumsum(lengths) + lengths)[which]


def sample(n: int, most: int, seed: int) -> np.ndarray:
    """Mask (n,) of `most` of n, drawn at random; of all where there are no more."""
    chosen = np.zeros(n, bool)
    chosen[sampled(n, most, seed)] = True
    return chosen


def sampled(n: int, most: int, seed: int) -> np.ndarray:
    """The rows of `sample`, sorted. What it takes is bounded by `most`, however large n is."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def to_unit_length(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, n_factors) scaled to length 1, so that products are cosines; zeros stay."""
    return vectors / np.maximum(
        np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny
    )
