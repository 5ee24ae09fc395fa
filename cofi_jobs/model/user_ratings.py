"""Ratings of some users, sorted by user: what their exact rows and J are computed from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cofi_jobs.core.arrays import ranges, tally


@dataclass(frozen=True)
class UserRatings:
    """Ratings of some users, one user's after the other's, each user's in order of time."""

    counts: np.ndarray  # (n_users,) number of ratings of each user
    user_index: np.ndarray  # (n_ratings,) int32, sorted
    item_index: np.ndarray  # (n_ratings,) int32
    y: np.ndarray  # (n_ratings,) float32
    confidence: np.ndarray | None = None  # c, (n_ratings,) float32; None: 1
    tied: np.ndarray | None = None  # (n_ratings,) mask as in core.ratings.Ratings; None: no ties
    trust: np.ndarray | None = None  # (n_users,) float32 as in core.ratings.Ratings; None: 1

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each user's ratings start, and where the last user's end: (n_users + 1,)."""
        return np.append(0, np.cumsum(self.counts))

    def of_users(self, users: np.ndarray) -> "UserRatings":
        """The ratings of these users, who get the numbers 0, 1, ... in the order given."""
        counts = self.counts[users]
        user_index, places = ranges(self.starts[users], counts)
        trust = None if self.trust is None else self.trust[users]
        return UserRatings(counts, user_index, *self._columns(places), trust)

    def between(self, first: int, end: int) -> "UserRatings":
        """The ratings of the users from `first` to before `end`, who get the numbers 0, 1, ..."""
        part = slice(self.starts[first], self.starts[end])
        user_index = self.user_index[part] - np.int32(first)
        trust = None if self.trust is None else self.trust[first:end]
        return UserRatings(self.counts[first:end], user_index, *self._columns(part), trust)

    def _columns(
        self, places: np.ndarray | slice
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
        confidence = None if self.confidence is None else self.confidence[places]
        tied = None if self.tied is None else self.tied[places]
        return self.item_index[places], self.y[places], confidence, tied


def by_user(
    user_index: np.ndarray,
    item_index: np.ndarray,
    y: np.ndarray,
    n_users: int,
    confidence: np.ndarray | None = None,
    tied: np.ndarray | None = None,
    trust: np.ndarray | None = None,
) -> UserRatings:
    """Ratings sorted by user; each user's ratings keep their order."""
    user_index, item_index = np.asarray(user_index, np.int32), np.asarray(item_index, np.int32)
    y = np.asarray(y, np.float32)
    if np.any(user_index[1:] < user_index[:-1]):
        order = np.argsort(user_index, kind="stable")
        user_index, item_index, y = user_index[order], item_index[order], y[order]
        confidence = None if confidence is None else confidence[order]
        tied = None if tied is None else tied[order]
    counts = tally(user_index, n_users)
    return UserRatings(counts, user_index, item_index, y, confidence, tied, trust)
