"""Sums over users for a fit: the ratings of all users in one shard, or of some users in each.

For fixed X the exact row of a user needs this user's ratings alone, and J and its gradients by X
and prior are sums over users. So a fit asks each shard for the sums over its own users.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf

from cofi_jobs.model.chunks import chunks
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.problem import Parameters, Problem, problem
from cofi_jobs.model.row_solver import RowSolver
from cofi_jobs.model.training_step import cost_and_gradients
from cofi_jobs.model.user_ratings import UserRatings

# Ratings at once. Buffers of that size are reused; larger ones are reallocated at each step.
CHUNK = 100_000

Learned = Mapping[str, np.ndarray]  # X, and the prior where the model has one


@dataclass(frozen=True)
class StepSums:
    """Sums over some users at their exact rows; those of disjoint groups add up."""

    J: np.float32
    n_ratings: int
    gradients: list[np.ndarray]  # by X, and by the prior where the model has one

    def __add__(self, other: "StepSums") -> "StepSums":
        pairs = zip(self.gradients, other.gradients, strict=True)
        return StepSums(
            self.J + other.J, self.n_ratings + other.n_ratings, [a + b for a, b in pairs]
        )


@dataclass(frozen=True)
class Totals:
    """What the sums over some users need to know of all users' ratings."""

    n_users: int
    n_ratings: int
    item_counts: np.ndarray  # (n_items,), each rating as much as its user is trusted
    item_penalty: np.ndarray  # (n_items,)

    @classmethod
    def of(
        cls,
        objective: Objective,
        user_counts: np.ndarray,
        item_counts: np.ndarray,
        trust: np.ndarray | None = None,
    ) -> "Totals":
        """Totals of users and items with so many ratings, as in `Objective.item_penalties`."""
        penalty = objective.item_penalties(item_counts, user_counts, trust)
        return cls(len(user_counts), int(user_counts.sum()), item_counts, penalty)


class Shards(Protocol):
    """The ratings of all users, wherever they are. Users are named by their row numbers."""

    user_counts: np.ndarray  # (n_users,) number of ratings of each user
    totals: Totals

    def step_sums(self, learned: Learned, users: np.ndarray) -> StepSums:
        """J and its gradients, summed over these users."""

    def loss(self, learned: Learned, users: np.ndarray) -> StepSums:
        """J alone, summed over these users: without gradients."""

    def rows(self, learned: Learned) -> tuple[np.ndarray, np.ndarray]:
        """The exact rows of all users: W (n_users, n_factors) and b (n_users,)."""


class Shard:
    """The ratings of some users in this process. With those of all users it is `Shards`."""

    def __init__(self, objective: Objective, ratings: UserRatings, totals: Totals) -> None:
        self.objective, self.ratings, self.totals = objective, ratings, totals
        self.user_counts = ratings.counts

    def step_sums(self, learned: Learned, users: np.ndarray) -> StepSums:
        """As `Shards.step_sums`; `users` are rows of this shard."""
        return self._sums(learned, users, tuple(learned))

    def loss(self, learned: Learned, users: np.ndarray) -> StepSums:
        """As `Shards.loss`; `users` are rows of this shard."""
        return self._sums(learned, users, ())

    def rows(self, learned: Learned) -> tuple[np.ndarray, np.ndarray]:
        """As `Shards.rows`, of this shard's users."""
        return self._solver(learned).solve(self.ratings)

    def _sums(self, learned: Learned, users: np.ndarray, by: tuple[str, ...]) -> StepSums:
        """J and its gradients by what `by` names."""
        sample = self.ratings.of_users(users)
        n_items, n_factors = learned["X"].shape
        if not len(sample.y):
            return StepSums(np.float32(0), 0, [np.zeros_like(learned[name]) for name in by])
        W, b = self._solver(learned).solve(sample)
        dense = dense_pays(self.totals.n_users, n_items, n_factors, self.totals.n_ratings)
        tensors = {name: tf.convert_to_tensor(part) for name, part in learned.items()}
        J, gradients = tf.zeros(()), [tf.zeros_like(tensors[name]) for name in by]
        # One chunk after the other: TensorFlow has threads of its own, which would share the cores
        # with ours.
        for chunk in chunks(sample.counts, -(-len(sample.y) // CHUNK)):
            J_part, gradients_of_part = cost_and_gradients(
                Parameters(W=W[chunk], b=b[chunk], **tensors),
                self._problem(sample.between(chunk.start, chunk.stop)),
                learned=by,
                dense=dense,
            )
            J += J_part
            gradients = [a + b for a, b in zip(gradients, gradients_of_part, strict=True)]
        return StepSums(J.numpy(), len(sample.y), [gradient.numpy() for gradient in gradients])

    def _solver(self, learned: Learned) -> RowSolver:
        return RowSolver(self.objective, item_counts=self.totals.item_counts, **learned)

    def _problem(self, sample: UserRatings) -> Problem:
        share = len(sample.y) / self.totals.n_ratings
        return problem(self.objective, sample, self.totals.item_penalty, share)


def dense_pays(n_users: int, n_items: int, n_factors: int, n_ratings: int) -> bool:
    """Whether to compute the products of all users and all items (see `cost`).

    Up to a row of factors for each rating they take no more memory, and less time.
    """
    return n_users * n_items <= n_factors * n_ratings
