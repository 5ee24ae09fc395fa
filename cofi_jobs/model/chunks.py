"""Users in groups of about as many ratings: for a step, and to compute on at once."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np


def users_of_steps(counts: np.ndarray, n_steps: int, seed: int) -> Iterator[np.ndarray]:
    """The users of each step, without end; the users of all steps have about as many ratings.

    `n_steps` steps make a round through all users that have ratings. Each round has another order.
    """
    rng, users = np.random.default_rng(seed), np.flatnonzero(counts)
    while True:
        shuffled = rng.permutation(users)
        for part in chunks(counts[shuffled], n_steps):
            yield shuffled[part]


def chunks(counts: np.ndarray, n: int) -> list[slice]:
    """Users with `counts` ratings in at most n neighbouring groups of about as many ratings."""
    ends = np.cumsum(counts)
    bounds = np.searchsorted(ends, ends[-1] * np.arange(1, n) / n)
    bounds = [0, *bounds.tolist(), len(counts)]
    return [slice(start, end) for start, end in pairwise(bounds) if end > start]
