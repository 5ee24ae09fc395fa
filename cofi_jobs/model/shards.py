"""Sums over users for a fit: the ratings of all users in one shard, or of some users in each.

For fixed X the exact row of a user needs this user's ratings alone, and J and its gradients by X
and prior are sums over users. So a fit asks each shard for the sums over its own users.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf

from cofi_jobs.core.factors import UserParameters
from cofi_jobs.model.chunks import chunks_of
from cofi_jobs.model.draws import UserBlocks, UserDraws
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.problem import Parameters, Problem, problem
from cofi_jobs.model.row_solver import RowSolver
from cofi_jobs.model.training_step import cost_and_gradients
from cofi_jobs.model.user_ratings import UserRatings

# Ratings at once. Buffers of that size are reused; larger ones are reallocated at each step.
CHUNK = 100_000
USERS_AT_ONCE = 1 << 16  # whose rows are solved, and held, at once

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
        """Totals of users and items with so many ratings, as in `Objective.pairs_of_item`."""
        pairs = objective.pairs_of_item(user_counts, len(item_counts), trust)
        penalty = objective.item_penalties(item_counts, pairs)
        return cls(len(user_counts), int(user_counts.sum()), item_counts, penalty)


class Shards(Protocol):
    """The ratings of all users, wherever they are."""

    totals: Totals

    def step_sums(self, learned: Learned, draw: int) -> StepSums:
        """J and its gradients, summed over the users of a draw, by its number."""

    def loss(self, learned: Learned, draw: int) -> StepSums:
        """J alone, without gradients, summed over the users of another kind of draw.

        These have about a chunk's ratings: J alone takes less memory than its gradients.
        """

    def rows(self, learned: Learned) -> Iterator[UserParameters]:
        """The exact rows of all users in their order, some users at a time."""


class Shard:
    """The ratings of some users in this process. With those of all users it is `Shards`.

    `blocks` says where these users are among all; None: these are all.
    """

    def __init__(
        self,
        objective: Objective,
        ratings: UserRatings,
        totals: Totals,
        seed: int,
        blocks: UserBlocks | None = None,
    ) -> None:
        self.objective, self.ratings, self.totals = objective, ratings, totals
        blocks = blocks or UserBlocks.of_all(ratings.counts)
        self.of_steps = UserDraws(blocks, objective.steps_per_round(totals.n_ratings), seed)
        self.of_losses = UserDraws(blocks, max(1, round(totals.n_ratings / CHUNK)), seed)

    def step_sums(self, learned: Learned, draw: int) -> StepSums:
        """As `Shards.step_sums`, of this shard's users."""
        return self._sums(learned, self.of_steps.users(draw), tuple(learned))

    def loss(self, learned: Learned, draw: int) -> StepSums:
        """As `Shards.loss`, of this shard's users."""
        return self._sums(learned, self.of_losses.users(draw), ())

    def rows(self, learned: Learned) -> Iterator[UserParameters]:
        """As `Shards.rows`, of this shard's users."""
        for users in slices(len(self.ratings.counts)):
            yield self.rows_of(learned, users)

    def rows_of(self, learned: Learned, users: slice) -> UserParameters:
        """The exact rows of some of this shard's users."""
        ratings = self.ratings.between(users.start, users.stop)
        return UserParameters(*self._solver(learned).solve(ratings), ratings.counts)

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
        for chunk in chunks_of(sample.counts, CHUNK):
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


def slices(n_users: int) -> list[slice]:
    """All of n users, as many at a time as rows are held at once."""
    return [
        slice(start, min(start + USERS_AT_ONCE, n_users))
        for start in range(0, n_users, USERS_AT_ONCE)
    ]


def dense_pays(n_users: int, n_items: int, n_factors: int, n_ratings: int) -> bool:
    """Whether to compute the products of all users and all items (see `cost`).

    Up to a row of factors for each rating they take no more memory, and less time.
    """
    return n_users * n_items <= n_factors * n_ratings
