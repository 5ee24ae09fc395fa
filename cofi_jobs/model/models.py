"""The rating model and the ranking model of some ratings; of events, the ranking model alone."""

import math
from dataclasses import dataclass, replace

import numpy as np

from cofi_jobs.core.factors import Factors, initial_factors
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.fit import Fit, fit
from cofi_jobs.model.objectives import (
    Objective,
    ranking_objective,
    ranking_target,
    rating_objective,
    rating_target,
    to_stars,
    to_units,
)
from cofi_jobs.model.warm_start import Start
from cofi_jobs.settings.fields import Settings

# Steps and learning rate of a fit that goes on from an earlier one, as shares of those of a fit
# from the start. At the full rate it first undoes what it starts from: `benchmarks.warm_start`.
WARM_STEPS, WARM_RATE = 1 / 3, 1 / 2


def fit_rating_model(
    ratings: Ratings,
    y_norm: np.ndarray,
    settings: Settings,
    scale: Scale,
    start: Factors | None = None,
) -> Fit:
    """The rating model of some ratings, in stars: rating = w.x + b + mean.

    `y_norm` (n_ratings,) are the ratings less the means of their items. From `start` on, factors in
    stars of the same rows, it takes a third of the steps, at half the learning rate.
    """
    objective = rating_objective(settings)
    initial = None if start is None else to_units(start, scale)
    y = rating_target(y_norm, scale)
    result = _fit_from(objective, ratings, y, settings, initial)
    return replace(result, factors=to_stars(result.factors, scale))


def fit_ranking_model(
    ratings: Ratings, settings: Settings, scale: Scale | None, start: Factors | None = None
) -> Fit:
    """The ranking model of some ratings: score = w.x. With `start` as in `fit_rating_model`."""
    objective = ranking_objective(settings, scale)
    y = ranking_target(ratings.rating, scale, objective.zero)
    return _fit_from(objective, ratings, y, settings, start)


def _fit_from(
    objective: Objective,
    ratings: Ratings,
    y: np.ndarray,
    settings: Settings,
    start: Factors | None,
) -> Fit:
    if start is None:
        sizes = ratings.n_items, ratings.n_users, settings.n_factors
        start = initial_factors(*sizes, settings.seed)
    else:
        objective = replace(
            objective,
            steps=math.ceil(objective.steps * WARM_STEPS),
            learning_rate=objective.learning_rate * WARM_RATE,
        )
    confidence = objective.confidence(ratings.rating)
    columns = ratings.user_index, ratings.item_index, y
    return fit(objective, start, *columns, settings.seed, confidence, ratings.tied)


@dataclass(frozen=True)
class BothFits:
    """The rating model (in stars), the ranking model (scores), and the item means (in stars).

    Of events there is the ranking model alone.
    """

    rating: Fit | None
    ranking: Fit
    means: np.ndarray | None

    @property
    def start(self) -> Start:
        """Where another fit goes on from these."""
        return Start(self.rating.factors if self.rating else None, self.ranking.factors)


def fit_both(
    ratings: Ratings,
    y_norm: np.ndarray,
    means: np.ndarray,
    settings: Settings,
    scale: Scale | None,
    start: Start | None = None,
) -> BothFits:
    """Fit the rating model and the ranking model to the same ratings, from `start` on if given.

    `means` (n_items,) are those that were taken off in `y_norm`. Of events, which have no scale,
    only the ranking model is fitted.
    """
    rating_start, ranking_start = (start.rating, start.ranking) if start else (None, None)
    if scale is None:
        return BothFits(None, fit_ranking_model(ratings, settings, scale, ranking_start), None)
    return BothFits(
        fit_rating_model(ratings, y_norm, settings, scale, rating_start),
        fit_ranking_model(ratings, settings, scale, ranking_start),
        means,
    )
