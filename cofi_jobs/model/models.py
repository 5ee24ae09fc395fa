"""The rating model and the ranking model of some ratings; of events, the ranking model alone."""

import math
from dataclasses import dataclass, replace

import numpy as np

from cofi_jobs.core.factors import Factors, initial_factors
from cofi_jobs.model.fit import Fit
from cofi_jobs.model.objectives import (
    Objective,
    ranking_objective,
    rating_objective,
    to_stars,
    to_units,
)
from cofi_jobs.model.observations import Learnable
from cofi_jobs.model.warm_start import Start
from cofi_jobs.settings.fields import Settings

# Steps and learning rate of a fit that goes on from an earlier one, as shares of those of a fit
# from the start. At the full rate it first undoes what it starts from: `benchmarks.warm_start`.
WARM_STEPS, WARM_RATE = 1 / 3, 1 / 2


def fit_rating_model(
    data: Learnable, settings: Settings, start: Factors | None = None, *, curve: bool = True
) -> Fit:
    """The rating model of some ratings, in stars: rating = w.x + b + mean.

    From `start` on, factors in stars of the same rows, it takes a third of the steps, at half the
    learning rate. Without `curve` there are no fixed losses, which take time.
    """
    assert data.scale is not None  # events have no rating model
    initial = None if start is None else to_units(start, data.scale)
    result = _fit_from(rating_objective(settings), data, settings, initial, curve)
    return replace(result, factors=to_stars(result.factors, data.scale))


def fit_ranking_model(
    data: Learnable, settings: Settings, start: Factors | None = None, *, curve: bool = True
) -> Fit:
    """The ranking model of some ratings: score = w.x. Else as `fit_rating_model`."""
    return _fit_from(ranking_objective(settings, data.scale), data, settings, start, curve)


def _fit_from(
    objective: Objective, data: Learnable, settings: Settings, start: Factors | None, curve: bool
) -> Fit:
    if not curve:
        objective = replace(objective, fixed_losses=0)
    if start is None:
        start = initial_factors(*data.sizes, settings.n_factors, settings.seed)
    else:
        objective = replace(
            objective,
            steps=math.ceil(objective.steps * WARM_STEPS),
            learning_rate=objective.learning_rate * WARM_RATE,
        )
    return data.fit(objective, start, settings.seed)


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


def fit_both(data: Learnable, settings: Settings, start: Start | None = None) -> BothFits:
    """Fit the rating model and the ranking model to the same ratings, from `start` on if given.

    Of events, which have no scale, only the ranking model is fitted.
    """
    rating_start, ranking_start = (start.rating, start.ranking) if start else (None, None)
    if data.scale is None:
        return BothFits(None, fit_ranking_model(data, settings, ranking_start), None)
    return BothFits(
        fit_rating_model(data, settings, rating_start),
        fit_ranking_model(data, settings, ranking_start),
        data.means,
    )
