"""Train: learn item features X and user parameters W, b of both heads by minimising J with Adam.

The rating head predicts stars, the ranking head orders items (docs/model.md says why there are two). Both are fitted
twice: without the newest ratings, to be measured on those (evaluate does that), and then, going on from there, on
everything, to be used. The first goes on from that of the night before (`warm_start`).
"""

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from cofi_jobs import tables
from cofi_jobs.errors import TrainingError
from cofi_jobs.gradients import Projection, Whole
from cofi_jobs.heads import Head, liked_from, ranking_head, ranking_target, rating_head, rating_target, rating_unit
from cofi_jobs.model import Factors, Ratings, initial_factors, tally, to_column
from cofi_jobs.normalize import damped_means
from cofi_jobs.settings import Settings
from cofi_jobs.split import held_out_mask, read_ratings
from cofi_jobs.store import Store
from cofi_jobs.tables import Scale
from cofi_jobs.user_rows import Solver
from cofi_jobs.warm_start import Start, trial_start

log = logging.getLogger(__name__)

# Steps of a fit that goes on from an earlier one, and its learning rate, as shares of those of one from the start. At
# the full rate it first undoes what it starts from (`python -m benchmarks.warm_start`).
WARM_STEPS, WARM_RATE = 1 / 3, 1 / 2
# Adam where users' rows are exact. A gradient of many users' minimum is hardly noisy: at the usual beta_1 of 0.9 a fit
# needs more steps to be as good. Epsilon, usually near 0, is in units of the first gradient's root mean square. Without
# it the first step moves all entries of X alike, however little their ratings tell.
EXACT_BETA_1, EXACT_EPSILON = 0.5, 0.3


@dataclass(frozen=True)
class Fit:
    """Result of `fit`: the factors, and J before each step, of all ratings as far as the step's users tell."""

    factors: Factors
    losses: list[float]


def fit(
    head: Head, initial: Factors, user_index: np.ndarray, item_index: np.ndarray, y: np.ndarray, seed: int = 0
) -> Fit:
    """Minimise J over the observed (user, item, y) from `initial` on.

    With `head.exact_users` Adam changes X alone (`gradients.Projection`). The ratings must then be sorted by user, each
    user's in order of time; the initial W and b do not count. Otherwise each step changes X, W and b by the gradients
    of all ratings' J.
    Raises TrainingError with the step and the setting to look at when J is no longer finite.
    """
    ratings = user_index, item_index, np.asarray(y, np.float32)
    parts = (initial.X, initial.W, initial.b)[: 1 if head.exact_users else 2 + head.bias]
    learned = [tf.Variable(np.asarray(part, np.float32)) for part in parts]
    optimizer = keras.optimizers.Adam(beta_1=EXACT_BETA_1 if head.exact_users else 0.9)
    optimizer.build(learned)
    # As one function it leaves fewer arrays of X's size behind than operation by operation.
    step = tf.function(lambda slope: optimizer.apply_gradients(zip(slope, learned, strict=True)), autograph=False)
    everything = head, len(initial.W), len(initial.X), *ratings
    slopes = Projection(*everything, seed=seed) if head.exact_users else Whole(*everything)
    losses: list[float] = []
    for rate in head.learning_rates(head.steps):
        J, gradients = slopes.at(*(tf.convert_to_tensor(variable) for variable in learned))
        if head.exact_users and not losses:
            optimizer.epsilon += EXACT_EPSILON * float(tf.sqrt(tf.reduce_mean(gradients[0] ** 2)))
        optimizer.learning_rate = rate
        step(gradients)
        losses.append(float(J))
        _check_finite(head, len(losses), losses[-1])
        if len(losses) % max(1, head.steps // 5) == 0:
            log.info("%s head: step %d of %d, J = %.6g", head.name, len(losses), head.steps, losses[-1])
    found = [variable.numpy() for variable in learned]
    _check_finite(head, head.steps + 1, float(np.abs(found[0]).sum()))
    if head.exact_users:
        found += Solver(head, found[0], slopes.item_counts).solve(slopes.counts, *ratings[1:])
    elif not head.bias:
        found.append(initial.b)
    return Fit(Factors(*found), losses)


def _check_finite(head: Head, step: int, J: float) -> None:
    if not math.isfinite(J):
        raise TrainingError(
            f"J of the {head.name} head is {J:g} in step {step}, expected a finite number; "
            f"lower {head.name}_learning_rate (now {head.learning_rate:g})"
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

    From `initial` on (factors of the same rows) it takes a third of the steps, at half the learning rate.
    """
    unit = np.float32(rating_unit(scale))
    heads = [rating_head(settings), ranking_head(settings)]
    if initial is None:
        starts = [initial_factors(ratings.n_items, ratings.n_users, settings.n_features, settings.seed)] * 2
    else:
        of_rating = initial.rating
        starts = [Factors(of_rating.X, of_rating.W / unit, of_rating.b / unit), initial.ranking]
        heads = [
            replace(head, steps=math.ceil(head.steps * WARM_STEPS), learning_rate=head.learning_rate * WARM_RATE)
            for head in heads
        ]
    pairs = ratings.user_index, ratings.item_index
    rating = fit(heads[0], starts[0], *pairs, rating_target(y_norm, scale), settings.seed)
    ranking = fit(heads[1], starts[1], *pairs, ranking_target(ratings.rating, scale), settings.seed)
    X, W, b = rating.factors.X, rating.factors.W, rating.factors.b
    return Model(Fit(Factors(X, W * unit, b * unit), rating.losses), ranking, means)


def item_means(ratings: Ratings, damping: float) -> np.ndarray:
    """Damped mean of each item over these ratings alone."""
    item, n_items = ratings.item_index, ratings.n_items
    return damped_means(tally(item, n_items), tally(item, n_items, ratings.rating), damping)


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
    n_known, n_held_out = len(known.rating), int(hidden.sum())
    del known, hidden  # as large as the ratings
    log.info("learning from all %d ratings", len(ratings.rating))
    y_norm = pq.read_table(folder / "ratings.parquet", columns=["y_norm"])["y_norm"].to_numpy()
    start = Start(trial.rating.factors, trial.ranking.factors)
    final = fit_both(ratings, items["mean"].to_numpy(), y_norm, settings, scale, start)
    with store.replace_folder(store.table(run_key, "model")) as target:
        _write_model(final, users, items, settings.n_features, target)
    with store.replace_folder(store.table(run_key, "training")) as target:
        pq.write_table(_losses({"held-out": trial, "final": final}), target / "losses.parquet")
    return {
        "liked_from": liked_from(settings, scale),
        "n_known": n_known,
        "n_held_out": n_held_out,
        "started_from": last,
    }


def _counted(side: pa.Table, index: np.ndarray) -> pa.Table:
    """Users or items with their numbers of ratings among those whose row numbers are given."""
    return side.set_column(1, "n_ratings", pa.array(tally(index, len(side)).astype(np.int32)))


def _write_model(model: Model, users: pa.Table, items: pa.Table, n_features: int, folder: Path) -> None:
    rating, ranking = model.rating.factors, model.ranking.factors
    columns = [items["item_id"], to_column(rating.X), to_column(ranking.X), model.means, items["n_ratings"]]
    of_items = pa.table(columns, schema=tables.item_factors(items["item_id"].type, n_features))
    columns = [users["user_id"], to_column(rating.W), to_column(ranking.W), rating.b, users["n_ratings"]]
    of_users = pa.table(columns, schema=tables.user_factors(users["user_id"].type, n_features))
    for table, name in ((of_items, "item_factors"), (of_users, "user_factors")):
        # Without a dictionary: factors hardly ever repeat, and looking for those that do takes as long as all the rest.
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=1 << 14, use_dictionary=False)


def _losses(models: dict[str, Model]) -> pa.Table:
    rows = [
        {"fit": name, "head": head, "step": step, "J": J}
        for name, model in models.items()
        for head, result in (("rating", model.rating), ("ranking", model.ranking))
        for step, J in enumerate(result.losses, start=1)
    ]
    return pa.Table.from_pylist(rows)
