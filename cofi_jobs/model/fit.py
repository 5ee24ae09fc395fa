"""Learn item factors X and user parameters W, b of both models by minimising J with Adam."""

import logging
import math
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from cofi_jobs.core.errors import TrainingError
from cofi_jobs.core.factors import Factors, initial_factors
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.gradients import Projection, Whole
from cofi_jobs.model.objectives import (
    Objective,
    ranking_objective,
    ranking_target,
    rating_objective,
    rating_target,
)
from cofi_jobs.model.ridge import Solver
from cofi_jobs.model.warm_start import Start
from cofi_jobs.settings.fields import Settings

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
    objective: Objective,
    initial: Factors,
    user_index: np.ndarray,
    item_index: np.ndarray,
    y: np.ndarray,
    seed: int = 0,
) -> Fit:
    """Minimise J over the observed (user, item, y) from `initial` on.

    With `objective.exact_users` Adam changes X alone (`gradients.Projection`). The ratings must
    then be sorted by user, each
    user's in order of time; the initial W and b do not count. Otherwise each step changes X, W and b by the gradients
    of all ratings' J.
    Raises TrainingError with the step and the setting to look at when J is no longer finite.
    """
    ratings = user_index, item_index, np.asarray(y, np.float32)
    parts = (initial.X, initial.W, initial.b)[: 1 if objective.exact_users else 2 + objective.bias]
    learned = [tf.Variable(np.asarray(part, np.float32)) for part in parts]
    optimizer = keras.optimizers.Adam(beta_1=EXACT_BETA_1 if objective.exact_users else 0.9)
    optimizer.build(learned)
    # As one function it leaves fewer arrays of X's size behind than operation by operation.
    step = tf.function(
        lambda slope: optimizer.apply_gradients(zip(slope, learned, strict=True)), autograph=False
    )
    everything = objective, len(initial.W), len(initial.X), *ratings
    slopes = Projection(*everything, seed=seed) if objective.exact_users else Whole(*everything)
    losses: list[float] = []
    for rate in objective.learning_rates(objective.steps):
        J, gradients = slopes.at(*(tf.convert_to_tensor(variable) for variable in learned))
        if objective.exact_users and not losses:
            optimizer.epsilon += EXACT_EPSILON * float(tf.sqrt(tf.reduce_mean(gradients[0] ** 2)))
        optimizer.learning_rate = rate
        step(gradients)
        losses.append(float(J))
        _check_finite(objective, len(losses), losses[-1])
        if len(losses) % max(1, objective.steps // 5) == 0:
            log.info(
                "%s objective: step %d of %d, J = %.6g",
                objective.name,
                len(losses),
                objective.steps,
                losses[-1],
            )
    found = [variable.numpy() for variable in learned]
    _check_finite(objective, objective.steps + 1, float(np.abs(found[0]).sum()))
    if objective.exact_users:
        found += Solver(objective, found[0], slopes.item_counts).solve(slopes.counts, *ratings[1:])
    elif not objective.bias:
        found.append(initial.b)
    return Fit(Factors(*found), losses)


def _check_finite(objective: Objective, step: int, J: float) -> None:
    if not math.isfinite(J):
        raise TrainingError(
            f"J of the {objective.name} model is {J:g} in step {step}, expected a finite number; "
            f"lower {objective.name}_learning_rate (now {objective.learning_rate:g})"
        )


@dataclass(frozen=True)
class Model:
    """Both models and the item means, in the source's units: rating = w.x + b + mean, score = w.x."""

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
    """Fit the rating model to `y_norm`, the ratings less their items' means, and the ranking model to the ratings.

    From `initial` on (factors of the same rows) it takes a third of the steps, at half the learning rate.
    """
    unit = np.float32(scale.unit)
    objectives = [rating_objective(settings), ranking_objective(settings)]
    if initial is None:
        starts = [
            initial_factors(ratings.n_items, ratings.n_users, settings.n_features, settings.seed)
        ] * 2
    else:
        of_rating = initial.rating
        starts = [Factors(of_rating.X, of_rating.W / unit, of_rating.b / unit), initial.ranking]
        objectives = [
            replace(
                objective,
                steps=math.ceil(objective.steps * WARM_STEPS),
                learning_rate=objective.learning_rate * WARM_RATE,
            )
            for objective in objectives
        ]
    pairs = ratings.user_index, ratings.item_index
    rating = fit(objectives[0], starts[0], *pairs, rating_target(y_norm, scale), settings.seed)
    ranking = fit(
        objectives[1], starts[1], *pairs, ranking_target(ratings.rating, scale), settings.seed
    )
    X, W, b = rating.factors.X, rating.factors.W, rating.factors.b
    return Model(Fit(Factors(X, W * unit, b * unit), rating.losses), ranking, means)
