"""Train: learn item features X and user parameters W, b of both heads by minimising J with Adam.

The rating head predicts stars, the ranking head orders items (docs/model.md says why there are two). Both are fitted
twice: without the newest ratings, to be measured on those (evaluate does that), and then, going on from there, on
everything, to be used. The first goes on from that of the night before (`warm_start`).
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from cofi_jobs import tables, user_rows
from cofi_jobs.cost import cost
from cofi_jobs.errors import TrainingError
from cofi_jobs.heads import Head, liked_from, ranking_head, ranking_target, rating_head, rating_target, rating_unit
from cofi_jobs.machine import ahead, in_parallel
from cofi_jobs.model import Factors, Ratings, initial_factors, to_column
from cofi_jobs.normalize import damped_means
from cofi_jobs.settings import Settings
from cofi_jobs.split import held_out_mask, read_ratings
from cofi_jobs.store import Store
from cofi_jobs.tables import Scale
from cofi_jobs.warm_start import Start, trial_start

log = logging.getLogger(__name__)

# Epochs of a fit that goes on from an earlier one, and its learning rate, as shares of those of one from the start. At
# the full rate it first undoes what it starts from (`python -m benchmarks.warm_start`).
WARM_EPOCHS, WARM_RATE = 1 / 3, 1 / 2
MOST_AT_ONCE = 2_000_000  # ratings in one call of the compiled loop


@dataclass(frozen=True)
class Fit:
    """Result of `fit`: the factors, and J of each epoch (summed over its batches, each before its update)."""

    factors: Factors
    losses: list[float]


class Step:
    """Compiled steps of Adam for factors of one shape, to be used by fit after fit.

    Compiling takes seconds, and what XLA has compiled is never freed: whoever fits often should keep it.
    """

    def __init__(self, n_items: int, n_users: int, n_features: int, bias: bool) -> None:
        self.X, self.W = (tf.Variable(tf.zeros((n, n_features))) for n in (n_items, n_users))
        self.b = tf.Variable(tf.zeros(n_users))
        variables = [self.X, self.W, self.b] if bias else [self.X, self.W]
        self.optimizer = keras.optimizers.Adam()
        self.optimizer.build(variables)

        # All that differs from fit to fit is an argument: XLA compiles for many seconds on large captured constants.
        # Many steps a call: memory for what a step computes on the way is had from the system once a call, which takes
        # longer than to compute it.
        @tf.function(jit_compile=True, autograph=False)
        def run(
            n_steps: tf.Tensor,
            rates: tf.Tensor,
            bias_penalty: tf.Tensor,
            share: tf.Tensor,
            batches: tuple[tf.Tensor, ...],
            weights: tuple[tf.Tensor, ...],
        ) -> tf.Tensor:
            def one(number: tf.Tensor, J: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                self.optimizer.learning_rate = rates[number]
                batch = [column[number] for column in batches]
                with tf.GradientTape() as tape:
                    J_of_batch = cost(self.X, self.W, self.b, *batch, *weights, bias_penalty=bias_penalty, share=share)
                # Dense on purpose: Keras squares the entries of a sparse gradient before it adds up those of one row.
                gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(J_of_batch, variables)]
                self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
                return number + 1, tf.tensor_scatter_nd_update(J, [[number]], [J_of_batch])

            return tf.while_loop(lambda number, _: number < n_steps, one, (0, tf.zeros(rates.shape)))[1]

        self.run = run

    def start(self, initial: Factors) -> None:
        """Begin a fit: the factors as given, and Adam as new."""
        for variable, values in ((self.X, initial.X), (self.W, initial.W), (self.b, initial.b)):
            variable.assign(np.asarray(values, np.float32))
        for variable in self.optimizer.variables:
            variable.assign(tf.zeros_like(variable))


def fit(
    head: Head,
    initial: Factors,
    user_index: np.ndarray,
    item_index: np.ndarray,
    y: np.ndarray,
    seed: int = 0,
    step: Step | None = None,
) -> Fit:
    """Minimise J over the observed (user, item, y) from `initial` on, with a step of the same shapes if one is given.

    Each epoch runs through the shuffled ratings in equal batches (up to n_batches - 1 ratings sit out an epoch). With
    `head.recency` the users' rows are then solved exactly, the newest ratings counting most; for that the ratings must
    be sorted by user, each user's in order of time.
    Raises TrainingError with the step and the setting to look at when J is no longer finite.
    """
    n_users, n_items, n_ratings = len(initial.W), len(initial.X), len(y)
    n_batches = head.batches(n_ratings)
    size = n_ratings // n_batches
    item_counts, user_counts = np.bincount(item_index, minlength=n_items), np.bincount(user_index, minlength=n_users)
    weights: tuple[np.ndarray, ...] = (head.penalties(item_counts), head.penalties(user_counts))
    if head.alpha:
        weights += (head.alphas(user_counts, n_items),)
    scalars = np.float32(head.bias_lambda), np.float32(size / n_ratings)
    y = np.asarray(y, np.float32)
    if step is None:
        step = Step(n_items, n_users, initial.X.shape[1], head.bias)
    step.start(initial)
    epochs = head.passes(n_ratings)
    rates = head.learning_rates(epochs * n_batches)

    calls = -(-n_batches * size // MOST_AT_ONCE)  # of the compiled loop, in an epoch
    at_once = -(-n_batches // calls)
    columns = user_index, item_index, y
    prepared = ahead(_shuffled(columns, n_batches, size, at_once, epochs, seed))
    losses: list[float] = []
    for epoch in range(epochs):
        of_epoch = rates[epoch * n_batches : (epoch + 1) * n_batches]
        steps = []
        for start in range(0, n_batches, at_once):
            n_steps = min(at_once, n_batches - start)
            of_call = np.resize(of_epoch[start : start + n_steps], at_once)
            steps.append(step.run(np.int32(n_steps), of_call, *scalars, next(prepared), weights)[:n_steps].numpy())
        J = np.concatenate(steps)
        _check_finite(head, J, first_step=epoch * n_batches)
        losses.append(float(J.sum()))
        if (epoch + 1) % max(1, epochs // 5) == 0:
            log.info("%s head: epoch %d of %d, J = %.6g", head.name, epoch + 1, epochs, losses[-1])
    factors = Factors(step.X.numpy(), step.W.numpy(), step.b.numpy())
    _check_finite(head, np.array([np.abs(a).sum() for a in (factors.X, factors.W)]), first_step=epochs * n_batches)
    if head.recency:
        factors = Factors(factors.X, *user_rows.solve(head, factors.X, user_index, item_index, y, n_users))
    return Fit(factors, losses)


def _shuffled(
    columns: tuple[np.ndarray, ...], n_batches: int, size: int, at_once: int, epochs: int, seed: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """The columns in batches that are drawn anew in each epoch: arrays (at_once, size), the last of an epoch padded.

    Inside a batch the order is that of the columns: sorted by user, so that what is read of W lies close together.
    """
    rng, n = np.random.default_rng(seed), len(columns[0])
    for _ in range(epochs):
        order = np.arange(n, dtype=np.int32 if n < 2**31 else np.int64)
        if n_batches > 1:
            rng.shuffle(order)
        batches = order[: n_batches * size].reshape(n_batches, size)
        for start in range(0, n_batches, at_once):
            chosen = np.zeros((at_once, size), order.dtype)
            chosen[: n_batches - start] = np.sort(batches[start : start + at_once], axis=1)
            yield tuple(column[chosen] for column in columns)


def _check_finite(head: Head, values: np.ndarray, first_step: int) -> None:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise TrainingError(
            f"J of the {head.name} head is {values[bad[0]]:g} in step {first_step + bad[0] + 1}, expected a finite "
            f"number; lower {head.name}_learning_rate (now {head.learning_rate:g})"
        )


@dataclass(frozen=True)
class Model:
    """Both heads and the item means, in the source's units: rating = w.x + b + mean, score = w.x."""

    rating: Fit
    ranking: Fit
    means: np.ndarray


def fit_both(
    ratings: Ratings,
    means: np.ndarray,
    y_norm: np.ndarray,
    settings: Settings,
    scale: Scale,
    initial: Start | None = None,
) -> Model:
    """Fit the rating head to `y_norm`, the ratings less their items' means, and the ranking head to the ratings.

    From `initial` on (factors of the same rows) it takes a third of the epochs, at half the learning rate; new users'
    rows are solved first.
    """
    unit = np.float32(rating_unit(scale))
    heads = [rating_head(settings), ranking_head(settings)]
    targets = [rating_target(y_norm, scale), ranking_target(ratings.rating, scale)]
    if initial is None:
        starts = [initial_factors(ratings.n_items, ratings.n_users, settings.n_features, settings.seed)] * 2
    else:
        of_rating = initial.rating
        starts = [Factors(of_rating.X, of_rating.W / unit, of_rating.b / unit), initial.ranking]
        passes = [math.ceil(head.passes(len(ratings.rating)) * WARM_EPOCHS) for head in heads]
        heads = [
            replace(head, epochs=epochs, max_steps=0, learning_rate=head.learning_rate * WARM_RATE)
            for head, epochs in zip(heads, passes, strict=True)
        ]
        starts = [
            user_rows.solve_new(head, start, initial.new, ratings.user_index, ratings.item_index, y)
            for head, start, y in zip(heads, starts, targets, strict=True)
        ]

    def fit_one(number: int) -> Fit:
        return fit(
            heads[number], starts[number], ratings.user_index, ratings.item_index, targets[number], settings.seed
        )

    # Side by side: what XLA has compiled runs in one thread where steps follow each other.
    rating, ranking = in_parallel(fit_one, range(2))
    X, W, b = rating.factors.X, rating.factors.W, rating.factors.b
    return Model(Fit(Factors(X, W * unit, b * unit), rating.losses), ranking, means)


def item_means(ratings: Ratings, damping: float) -> np.ndarray:
    """Damped mean of each item over these ratings alone."""
    counts = np.bincount(ratings.item_index, minlength=ratings.n_items)
    return damped_means(counts, np.bincount(ratings.item_index, ratings.rating, minlength=ratings.n_items), damping)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Learn from the known ratings, for evaluate to measure, then from all; write `trial`, `model` and `training`."""
    low, high = store.required_outcome(run_key, "ingest")["scale"]
    scale = (low, high)
    folder = store.table(run_key, "normalized")
    users = pq.read_table(folder / "users.parquet", columns=["user_id", "n_ratings"])
    items = pq.read_table(folder / "items.parquet", columns=["item_id", "n_ratings", "mean"])
    ratings = read_ratings(folder)
    hidden = held_out_mask(folder, ratings.user_index, settings.model_dump())
    known = ratings.where(~hidden)
    log.info("trial: learning from %d ratings, %d are held out", len(known.rating), hidden.sum())
    # What is held out must not show in the means either.
    means = item_means(known, damping=store.required_outcome(run_key, "normalize")["settings"]["damping"])
    user_id, item_id = users["user_id"].combine_chunks(), items["item_id"].combine_chunks()
    last, initial = trial_start(store, settings, run_key, user_id, item_id, ratings.where(hidden))
    trial = fit_both(known, means, known.rating - means[known.item_index], settings, scale, initial)
    with store.replace_folder(store.table(run_key, "trial")) as target:
        sides = _counted(users, known.user_index), _counted(items, known.item_index)
        _write_model(trial, *sides, settings.n_features, target)
    log.info("learning from all %d ratings", len(ratings.rating))
    y_norm = pq.read_table(folder / "ratings.parquet", columns=["y_norm"])["y_norm"].to_numpy()
    unknown = np.bincount(known.user_index, minlength=len(users)) == 0
    start = Start(trial.rating.factors, trial.ranking.factors, unknown)
    final = fit_both(ratings, items["mean"].to_numpy(), y_norm, settings, scale, start)
    with store.replace_folder(store.table(run_key, "model")) as target:
        _write_model(final, users, items, settings.n_features, target)
    with store.replace_folder(store.table(run_key, "training")) as target:
        pq.write_table(_losses({"held-out": trial, "final": final}), target / "losses.parquet")
    return {
        "liked_from": liked_from(settings, scale),
        "n_known": len(known.rating),
        "n_held_out": int(hidden.sum()),
        "started_from": last,
    }


def _counted(side: pa.Table, index: np.ndarray) -> pa.Table:
    """Users or items with their numbers of ratings among those whose row numbers are given."""
    return side.set_column(1, "n_ratings", pa.array(np.bincount(index, minlength=len(side)).astype(np.int32)))


def _write_model(model: Model, users: pa.Table, items: pa.Table, n_features: int, folder: Path) -> None:
    rating, ranking = model.rating.factors, model.ranking.factors
    columns = [items["item_id"], to_column(rating.X), to_column(ranking.X), model.means, items["n_ratings"]]
    schema = tables.item_factors(items["item_id"].type, n_features)
    pq.write_table(pa.table(columns, schema=schema), folder / "item_factors.parquet", row_group_size=1 << 14)
    columns = [users["user_id"], to_column(rating.W), to_column(ranking.W), rating.b, users["n_ratings"]]
    schema = tables.user_factors(users["user_id"].type, n_features)
    pq.write_table(pa.table(columns, schema=schema), folder / "user_factors.parquet", row_group_size=1 << 14)


def _losses(models: dict[str, Model]) -> pa.Table:
    rows = [
        {"fit": name, "head": head, "epoch": epoch, "J": J}
        for name, model in models.items()
        for head, result in (("rating", model.rating), ("ranking", model.ranking))
        for epoch, J in enumerate(result.losses, start=1)
    ]
    return pa.Table.from_pylist(rows)
