"""Groups of users with about as many ratings, so that a group is one array with little padding."""

from collections.abc import Iterator

import numpy as np

RATINGS_AT_ONCE = 4096  # ratings of a group, padding included: few, so that they stay in cache
LEAST = 64  # each user counts as so many ratings at least: a matrix A takes memory, too


def alike(counts: np.ndarray, users: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Groups of users with about as many ratings, and the `places` of their ratings.

    `counts` (n_users,) are the numbers of ratings of all users; `users` are some of them, sorted by
    their numbers of ratings, the fewest first.
    """
    ends, first = np.append(0, np.cumsum(counts)), 0
    # A list: Python's numbers are faster in a loop than NumPy's, and other threads wait for it.
    sizes = counts[users].clip(LEAST).tolist()
    while first < len(users):
        last = first + 1
        while last < len(users) and (last + 1 - first) * sizes[last] <= RATINGS_AT_ONCE:
            last += 1
        group = users[first:last]
        yield group, places(ends, group)
        first = last


def places(ends: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Where the ratings of some users stand among all ratings, which are sorted by user.

    Shape (len(users), most ratings of one of them, at least 1). User j's ratings are those from
    `ends[j]` to `ends[j + 1]`. The rows of users with fewer ratings are padded with the number of
    all ratings: append one row of zeros to the ratings' columns and take.
    """
    start, n = ends[users, None], (ends[users + 1] - ends[users])[:, None]
    place = np.arange(max(1, n.max()))
    return np.where(place < n, start + place, ends[-1])
