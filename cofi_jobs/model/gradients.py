"""J and its gradients by what Adam changes: from all ratings, or by X alone with users' rows that are exact."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from cofi_jobs.core.arrays import ranges, tally
from cofi_jobs.model.cost import cost
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.ridge import Solver

CHUNK = 100_000  # ratings at once: buffers of that size are used again, larger ones had anew from the system


class Whole:
    """J of all ratings and its gradients by X and W, and by b where the objective has it."""

    def __init__(
        self,
        objective: Objective,
        n_users: int,
        n_items: int,
        user_index: np.ndarray,
        item_index: np.ndarray,
        y: np.ndarray,
    ) -> None:
        self.objective, self.n_items = objective, n_items
        self.ratings = np.asarray(user_index, np.int32), np.asarray(item_index, np.int32), y
        self.counts = tally(user_index, n_users)
        self.item_counts = tally(item_index, n_items)
        self.item_penalty = objective.penalties(self.item_counts)
        self.bias_penalty = np.float32(objective.bias_lambda)

    def at(self, *parameters: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """J and its gradients at these parameters."""
        rest = () if self.objective.bias else (tf.zeros(len(self.counts)),)
        return self.gradients(parameters, rest, self.ratings, self.counts)

    def gradients(
        self,
        learned: tuple[tf.Tensor, ...],
        rest: tuple[Any, ...],
        ratings: tuple[np.ndarray, ...],
        counts: np.ndarray,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """J of users that have `counts` ratings, all in `ratings`, and its gradients by `learned`; `rest` stays."""
        share = np.float32(counts.sum() / len(self.ratings[0]))
        alphas = (self.objective.alphas(counts, self.n_items),) if self.objective.alpha else ()
        weights = share * self.item_penalty, self.objective.penalties(counts), *alphas
        # Up to there all products take no more memory than a row of features for each rating, and less time.
        dense = len(self.counts) * self.n_items <= learned[0].shape[1] * len(self.ratings[0])
        return _gradients(dense, learned, rest, ratings, weights, self.bias_penalty)


class Projection(Whole):
    """J minimised over W and b, a function of X alone, and its gradient (variable projection).

    Users are drawn anew in each round through all of them, so many at a time as make a batch of ratings. Their rows are
    solved exactly; there J does not change with them, so its gradient by X is that of the minimum (Golub & Pereyra
    1973, SIAM J. Numer. Anal. 10). J is scaled to all ratings. With recency the rows are those that users will have in
    the end, while J counts all ratings alike: that makes better X than either in both.
    """

    def __init__(self, objective: Objective, *sides_and_ratings: Any, seed: int) -> None:
        super().__init__(objective, *sides_and_ratings)
        self.first = np.cumsum(self.counts) - self.counts
        self.drawn = drawn(self.counts, objective.batches(len(self.ratings[0])), seed)

    def at(self, *parameters: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """J and its gradient at an X, as the next users tell."""
        (X,), users = parameters, next(self.drawn)
        solver, n = Solver(self.objective, X.numpy(), self.item_counts), self.counts[users]
        number, places = ranges(self.first[users], n)
        item_index, y = (column[places] for column in self.ratings[1:])
        W, b = solver.solve(n, item_index, y)
        ends = np.concatenate([[0], np.cumsum(n)])
        J, total = tf.zeros(()), tf.zeros_like(X)
        # One after the other: TensorFlow has threads of its own, which would share the cores with ours.
        for part in split(np.arange(len(users)), n, -(-len(y) // CHUNK)):
            own, at = slice(part[0], part[-1] + 1), slice(ends[part[0]], ends[part[-1] + 1])
            ratings = number[at] - number[at.start], item_index[at], y[at]
            of_part, [gradient] = self.gradients((X,), (W[own], b[own]), ratings, n[own])
            J, total = J + of_part, total + gradient
        scale = len(self.ratings[0]) / len(y)
        return scale * J, [scale * total]


def _gradients(dense: bool, *arguments: Any) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """`_traced` for arrays of any sizes, so that it is traced once; left alone it would be for the first sizes, too."""
    sizes = tf.nest.map_structure(
        lambda array: tf.TensorSpec([None] * np.ndim(array), array.dtype), arguments
    )
    traced: tuple[tf.Tensor, list[tf.Tensor]] = _traced.get_concrete_function(dense, *sizes)(
        dense, *arguments
    )
    return traced


@tf.function(autograph=False)
def _traced(
    dense: bool,
    learned: tuple[tf.Tensor, ...],
    rest: tuple[tf.Tensor, ...],
    ratings: tuple[tf.Tensor, ...],
    weights: tuple[tf.Tensor, ...],
    bias_penalty: tf.Tensor,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """J, and its gradients by what is learned: X, or X and W, or all; `rest` is what of them is not."""
    with tf.GradientTape() as tape:
        tape.watch(learned)
        J = cost(*learned, *rest, *ratings, *weights, bias_penalty=bias_penalty, dense=dense)
    # Dense on purpose: Keras squares the entries of a sparse gradient before it adds up those of one row.
    return J, [tf.convert_to_tensor(gradient) for gradient in tape.gradient(J, learned)]


def drawn(counts: np.ndarray, n_batches: int, seed: int) -> Iterator[np.ndarray]:
    """Users of step after step: all that have ratings, in batches with about as many ratings, drawn anew each time."""
    rng, users = np.random.default_rng(seed), np.flatnonzero(counts)
    while True:
        yield from split(rng.permutation(users), counts, n_batches)


def split(users: np.ndarray, counts: np.ndarray, n: int) -> list[np.ndarray]:
    """The users in at most n parts, each with about as many ratings."""
    ends = np.cumsum(counts[users])
    parts = np.split(users, np.searchsorted(ends, ends[-1] * np.arange(1, n) / n))
    return [part for part in parts if len(part)]
