"""What J is a function of beside the factors: some users, their ratings, penalties and weights."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from cofi_jobs.core.arrays import ranges, tally
from cofi_jobs.model.objectives import Objective


class Parameters(NamedTuple):
    """What the model learns, for the items and users of a `Problem`."""

    X: tf.Tensor  # (n_items, n_factors)
    W: tf.Tensor  # (n_users, n_factors)
    b: tf.Tensor  # (n_users,)


class Problem(NamedTuple):
    """The data of J for a group of users and all their ratings.

    A NamedTuple of arrays, so that TensorFlow traces a function of it once for all sizes. J is a
    sum over users: with `item_penalty` scaled to the share that these ratings are of all ratings,
    the J of disjoint groups of users add up to the J of all users.
    """

    user_index: np.ndarray  # (n_ratings,)
    item_index: np.ndarray  # (n_ratings,)
    y: np.ndarray  # (n_ratings,)
    item_penalty: np.ndarray  # (n_items,)
    user_penalty: np.ndarray  # (n_users,)
    bias_penalty: float | np.floating
    alpha: np.ndarray | None = None  # (n_users,); None: no term of all pairs
    weight: np.ndarray | None = None  # c, (n_ratings,); None: 1


@dataclass(frozen=True)
class UserRatings:
    """Ratings of some users, one user's after the other's, each user's in order of time."""

    counts: np.ndarray  # (n_users,) number of ratings of each user
    user_index: np.ndarray  # (n_ratings,) int32, sorted
    item_index: np.ndarray  # (n_ratings,) int32
    y: np.ndarray  # (n_ratings,) float32
    confidence: np.ndarray | None = None  # c, (n_ratings,) float32; None: 1

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each user's ratings start, and where the last user's end: (n_users + 1,)."""
        return np.append(0, np.cumsum(self.counts))

    def of_users(self, users: np.ndarray) -> "UserRatings":
        """The ratings of these users, who get the numbers 0, 1, ... in the order given."""
        counts = self.counts[users]
        user_index, places = ranges(self.starts[users], counts)
        return UserRatings(counts, user_index, *self._columns(places))

    def between(self, first: int, end: int) -> "UserRatings":
        """The ratings of the users from `first` to before `end`, who get the numbers 0, 1, ..."""
        part = slice(self.starts[first], self.starts[end])
        user_index = self.user_index[part] - np.int32(first)
        return UserRatings(self.counts[first:end], user_index, *self._columns(part))

    def _columns(
        self, places: np.ndarray | slice
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        confidence = None if self.confidence is None else self.confidence[places]
        return self.item_index[places], self.y[places], confidence


def by_user(
    user_index: np.ndarray,
    item_index: np.ndarray,
    y: np.ndarray,
    n_users: int,
    confidence: np.ndarray | None = None,
) -> UserRatings:
    """Ratings sorted by user; each user's ratings keep their order."""
    user_index, item_index = np.asarray(user_index, np.int32), np.asarray(item_index, np.int32)
    y = np.asarray(y, np.float32)
    if np.any(user_index[1:] < user_index[:-1]):
        order = np.argsort(user_index, kind="stable")
        user_index, item_index, y = user_index[order], item_index[order], y[order]
        confidence = None if confidence is None else confidence[order]
    return UserRatings(tally(user_index, n_users), user_index, item_index, y, confidence)


def problem(objective: Objective, ratings: UserRatings, item_counts: np.ndarray) -> Problem:
    """J of some users; `item_counts` (n_items,) holds how often each item is rated by all users."""
    share = np.float32(len(ratings.y) / item_counts.sum())
    return Problem(
        ratings.user_index,
        ratings.item_index,
        ratings.y,
        item_penalty=share * objective.penalties(item_counts),
        user_penalty=objective.penalties(ratings.counts),
        bias_penalty=np.float32(objective.bias_lambda),
        alpha=objective.alphas(ratings.counts, len(item_counts)) if objective.alpha else None,
        weight=ratings.confidence,
    )
