"""J and its gradients in a step of training, by what Adam changes.

`FullGradient`: by X, W and b, from all ratings in each step. `ProjectedGradient`: by X, from the
ratings of some users in each step, with the rows w_j and b_j of these users solved exactly. Both
also by the prior, where the model has one.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf

from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.problem import Parameters, problem
from cofi_jobs.model.shards import Shards, StepSums, dense_pays
from cofi_jobs.model.training_step import cost_and_gradients
from cofi_jobs.model.user_ratings import UserRatings

Learned = Mapping[str, tf.Tensor]  # by the names of `Parameters`


class StepGradients(Protocol):
    """Gives J and its gradients for one step of training after the other."""

    learned: tuple[str, ...]  # names of `Parameters`
    draw: int  # what the next step takes; set, it goes on from there

    def next_step(self, learned: Learned) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """J before the next step, and its gradients in the order of the names.

        Each call is for another step, whose ratings may be others.
        """

    def fixed_loss(self, learned: Learned) -> float | None:
        """J of the same users in each call; None where `next_step` gives the J of all ratings."""


class FullGradient:
    """J of all ratings and its gradients by X and W, and by b and prior if the model has them."""

    def __init__(self, objective: Objective, ratings: UserRatings, item_counts: np.ndarray) -> None:
        self.learned = (
            ("X", "W") + ("b",) * objective.bias + ("prior",) * (objective.prior_lambda > 0)
        )
        pairs = objective.pairs_of_item(ratings.counts, len(item_counts), ratings.trust)
        self.problem = problem(objective, ratings, objective.item_penalties(item_counts, pairs))
        self.draw = 0  # each step has all ratings

    def next_step(self, learned: Learned) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """J and its gradients for these factors."""
        parameters = Parameters(**{"b": tf.zeros(len(learned["W"])), **learned})
        n_items, n_factors = parameters.X.shape
        dense = dense_pays(len(parameters.W), n_items, n_factors, len(self.problem.y))
        return cost_and_gradients(parameters, self.problem, learned=self.learned, dense=dense)

    def fixed_loss(self, learned: Learned) -> None:
        """None: each step has the J of all ratings."""


class ProjectedGradient:
    """J at the exact rows W and b for X and prior, and its gradients by these two.

    That is variable projection.

    Each step takes some users; a round of steps takes all of them, in random order. J and gradient
    are scaled to all ratings.

    With `recency = 0` the rows minimise J, so the gradient by X at these rows is the gradient of
    the minimum (Golub & Pereyra 1973, SIAM J. Numer. Anal. 10). With recency the rows minimise a J
    weighted by recency, and the gradient is that of the unweighted J at these rows: a heuristic
    that gives better X (docs/model.md).
    """

    def __init__(self, objective: Objective, shards: Shards) -> None:
        self.learned = ("X",) + ("prior",) * (objective.prior_lambda > 0)
        self.shards, self.draw, self.fixed_draw = shards, 0, 0

    def next_step(self, learned: Learned) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """J and its gradients at this X and prior, estimated from the next users."""
        sums, draw = _first_with_ratings(self.shards.step_sums, learned, self.draw)
        self.draw = draw + 1
        scale = self.shards.totals.n_ratings / sums.n_ratings
        gradients = [tf.convert_to_tensor(scale * gradient) for gradient in sums.gradients]
        return tf.convert_to_tensor(scale * sums.J), gradients

    def fixed_loss(self, learned: Learned) -> float:
        """J at the exact rows for this X and prior, estimated from a fixed sample of users.

        J of the steps goes up and down with the users of each step. This one does not.
        """
        sums, self.fixed_draw = _first_with_ratings(self.shards.loss, learned, self.fixed_draw)
        return float(sums.J) * self.shards.totals.n_ratings / sums.n_ratings


def _first_with_ratings(
    sums_of: Callable[[Mapping[str, np.ndarray], int], StepSums], learned: Learned, draw: int
) -> tuple[StepSums, int]:
    """The sums of a draw, or of the next one that is not empty; the number of that draw.

    There is one, since all draws of a round have all ratings.
    """
    arrays = {name: tensor.numpy() for name, tensor in learned.items()}
    while True:
        sums = sums_of(arrays, draw)
        if sums.n_ratings:
            return sums, draw
        draw += 1
