"""J and its gradients in a step of training, by what Adam changes.

`FullGradient`: by X, W and b, from all ratings in each step. `ProjectedGradient`: by X alone, from
the ratings of some users in each step, with the rows w_j and b_j of these users solved exactly.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import numpy as np
import tensorflow as tf

from cofi_jobs.model.cost import cost
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.problem import Parameters, problem
from cofi_jobs.model.row_solver import RowSolver
from cofi_jobs.model.training_step import cost_and_gradients
from cofi_jobs.model.user_ratings import UserRatings

# Ratings at once. Buffers of that size are reused; larger ones are reallocated at each step.
CHUNK = 100_000


class StepGradients(Protocol):
    """Gives J and its gradients for one step of training after the other."""

    n_learned: int  # of X, W and b, in this order

    def next_step(self, *learned: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """J before the next step, and its gradients by what is learned.

        Each call is for another step, whose ratings may be others.
        """

    def fixed_loss(self, *learned: tf.Tensor) -> float | None:
        """J of the same users in each call; None where `next_step` gives the J of all ratings."""


class FullGradient:
    """J of all ratings and its gradients by X and W, and by b where the model has one."""

    def __init__(self, objective: Objective, ratings: UserRatings, item_counts: np.ndarray) -> None:
        self.n_learned = 3 if objective.bias else 2
        self.problem = problem(objective, ratings, item_counts)

    def next_step(self, *learned: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """J and its gradients at this X and W (and b)."""
        X, W, *b = learned
        parameters = Parameters(X, W, *(b or [tf.zeros(len(W))]))
        dense = dense_pays(len(W), len(X), X.shape[1], len(self.problem.y))
        return cost_and_gradients(parameters, self.problem, n_learned=self.n_learned, dense=dense)

    def fixed_loss(self, *learned: tf.Tensor) -> None:
        """None: each step has the J of all ratings."""


class ProjectedGradient:
    """J at the exact rows W and b for X, and its gradient by X (variable projection).

    Each step takes some users; a round of steps takes all of them, in random order. J and gradient
    are scaled to all ratings.

    With `recency = 0` the rows minimise J, so the gradient by X at these rows is the gradient of
    the minimum (Golub & Pereyra 1973, SIAM J. Numer. Anal. 10). With recency the rows minimise a J
    weighted by recency, and the gradient is that of the unweighted J at these rows: a heuristic
    that gives better X (docs/model.md).
    """

    n_learned = 1

    def __init__(
        self, objective: Objective, ratings: UserRatings, item_counts: np.ndarray, seed: int
    ) -> None:
        self.objective, self.ratings, self.item_counts = objective, ratings, item_counts
        n_steps = objective.steps_per_round(len(ratings.y))
        self.users_of_steps = users_of_steps(ratings.counts, n_steps, seed)
        # As many ratings as a chunk, about: the cost alone takes less memory than a gradient.
        n_samples = max(1, round(len(ratings.y) / CHUNK))
        self.fixed_users = next(users_of_steps(ratings.counts, n_samples, seed))

    def next_step(self, *learned: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """J and its gradient at this X, estimated from the next users."""
        [X] = learned
        solver = RowSolver(self.objective, X.numpy(), self.item_counts)
        sample = self.ratings.of_users(next(self.users_of_steps))
        W, b = solver.solve(sample)
        dense = dense_pays(len(self.ratings.counts), len(X), X.shape[1], len(self.ratings.y))
        J, gradient = tf.zeros(()), tf.zeros_like(X)
        # One chunk after the other: TensorFlow has threads of its own, which would share the cores
        # with ours.
        for users in chunks(sample.counts, -(-len(sample.y) // CHUNK)):
            part = sample.between(users.start, users.stop)
            J_part, [gradient_part] = cost_and_gradients(
                Parameters(X, W[users], b[users]),
                problem(self.objective, part, self.item_counts),
                n_learned=1,
                dense=dense,
            )
            J, gradient = J + J_part, gradient + gradient_part
        scale = len(self.ratings.y) / len(sample.y)
        return scale * J, [scale * gradient]

    def fixed_loss(self, *learned: tf.Tensor) -> float:
        """J at the exact rows for this X, estimated from a fixed sample of users.

        J of the steps goes up and down with the users of each step. This one does not.
        """
        [X] = learned
        sample = self.ratings.of_users(self.fixed_users)
        rows = RowSolver(self.objective, X.numpy(), self.item_counts).solve(sample)
        J = cost(Parameters(X, *rows), problem(self.objective, sample, self.item_counts))
        return float(J) * len(self.ratings.y) / len(sample.y)


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
