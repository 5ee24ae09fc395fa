"""J and its gradients in a step of training, by what Adam changes.

`FullGradient`: by X, W and b, from all ratings in each step. `ProjectedGradient`: by X, from the
ratings of some users in each step, with the rows w_j and b_j of these users solved exactly. Both
also by the prior, where the model has one.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Protocol

import numpy as np
import tensorflow as tf

from cofi_jobs.model.cost import cost
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.problem import Parameters, Problem, problem
from cofi_jobs.model.row_solver import RowSolver
from cofi_jobs.model.training_step import cost_and_gradients
from cofi_jobs.model.user_ratings import UserRatings

# Ratings at once. Buffers of that size are reused; larger ones are reallocated at each step.
CHUNK = 100_000

Learned = Mapping[str, tf.Tensor]  # by the names of `Parameters`


class StepGradients(Protocol):
    """Gives J and its gradients for one step of training after the other."""

    learned: tuple[str, ...]  # names of `Parameters`

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
        item_penalty = objective.item_penalties(item_counts, ratings.counts)
        self.problem = problem(objective, ratings, item_penalty)

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

    def __init__(
        self, objective: Objective, ratings: UserRatings, item_counts: np.ndarray, seed: int
    ) -> None:
        self.learned = ("X",) + ("prior",) * (objective.prior_lambda > 0)
        self.objective, self.ratings, self.item_counts = objective, ratings, item_counts
        self.item_penalty = objective.item_penalties(item_counts, ratings.counts)
        n_steps = objective.steps_per_round(len(ratings.y))
        self.users_of_steps = users_of_steps(ratings.counts, n_steps, seed)
        # As many ratings as a chunk, about: the cost alone takes less memory than a gradient.
        n_samples = max(1, round(len(ratings.y) / CHUNK))
        self.fixed_users = next(users_of_steps(ratings.counts, n_samples, seed))

    def next_step(self, learned: Learned) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """J and its gradients at this X and prior, estimated from the next users."""
        sample = self.ratings.of_users(next(self.users_of_steps))
        W, b = self._rows(learned, sample)
        n_items, n_factors = learned["X"].shape
        dense = dense_pays(len(self.ratings.counts), n_items, n_factors, len(self.ratings.y))
        J, gradients = tf.zeros(()), [tf.zeros_like(part) for part in learned.values()]
        # One chunk after the other: TensorFlow has threads of its own, which would share the cores
        # with ours.
        for users in chunks(sample.counts, -(-len(sample.y) // CHUNK)):
            part = sample.between(users.start, users.stop)
            J_part, gradients_of_part = cost_and_gradients(
                Parameters(W=W[users], b=b[users], **learned),
                self._problem(part),
                learned=self.learned,
                dense=dense,
            )
            J += J_part
            gradients = [a + b for a, b in zip(gradients, gradients_of_part, strict=True)]
        scale = len(self.ratings.y) / len(sample.y)
        return scale * J, [scale * gradient for gradient in gradients]

    def fixed_loss(self, learned: Learned) -> float:
        """J at the exact rows for this X and prior, estimated from a fixed sample of users.

        J of the steps goes up and down with the users of each step. This one does not.
        """
        sample = self.ratings.of_users(self.fixed_users)
        W, b = self._rows(learned, sample)
        J = cost(Parameters(W=W, b=b, **learned), self._problem(sample))
        return float(J) * len(self.ratings.y) / len(sample.y)

    def _rows(self, learned: Learned, sample: UserRatings) -> tuple[np.ndarray, np.ndarray]:
        arrays = {name: tensor.numpy() for name, tensor in learned.items()}
        return RowSolver(self.objective, item_counts=self.item_counts, **arrays).solve(sample)

    def _problem(self, sample: UserRatings) -> Problem:
        share = len(sample.y) / len(self.ratings.y)
        return problem(self.objective, sample, self.item_penalty, share)


def dense_pays(n_users: int, n_items: int, n_factors: int, n_ratings: int) -> bool:
    """Whether to compute the products of all users and all items (see `cost`).

    Up to a row of factors for each rating they take no more memory, and less time.
    """
    return n_users * n_items <= n_factors * n_ratings


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
