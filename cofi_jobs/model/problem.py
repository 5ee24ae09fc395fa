"""What J is a function of beside the factors: some users, their ratings, penalties and weights."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.user_ratings import UserRatings


class Parameters(NamedTuple):
    """What the model learns, for the items and users of a `Problem`."""

    X: tf.Tensor  # (n_items, n_factors)
    W: tf.Tensor  # (n_users, n_factors)
    b: tf.Tensor  # (n_users,)
    prior: tf.Tensor | None = None  # (n_factors,)


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
    bias_penalty: float | np.floating | np.ndarray  # a number, or (n_users,)
    prior_penalty: float | np.floating | np.ndarray = 0.0  # a number, or (n_users,)
    alpha: np.ndarray | None = None  # (n_users,); None: no term of all pairs
    weight: np.ndarray | None = None  # c, (n_ratings,); None: 1


def problem(
    objective: Objective, ratings: UserRatings, item_penalty: np.ndarray, share: float = 1.0
) -> Problem:
    """J of some users, who have this share of all ratings.

    `item_penalty` (n_items,) is that of all ratings, `Objective.item_penalties`. All that is of a
    user is multiplied by how far the user is trusted.
    """
    n_items, weight = len(item_penalty), ratings.confidence
    trust = np.float32(1) if ratings.trust is None else ratings.trust
    if ratings.trust is not None:
        of_ratings = ratings.trust[ratings.user_index]
        weight = of_ratings if weight is None else of_ratings * weight
    return Problem(
        ratings.user_index,
        ratings.item_index,
        ratings.y,
        item_penalty=np.float32(share) * item_penalty,
        user_penalty=trust * objective.user_penalties(ratings.counts, n_items),
        bias_penalty=trust * np.float32(objective.bias_lambda),
        prior_penalty=trust * np.float32(objective.prior_lambda),
        alpha=trust * objective.alphas(ratings.counts, n_items) if objective.alpha else None,
        weight=weight,
    )
