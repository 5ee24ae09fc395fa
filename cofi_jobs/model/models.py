"""The rating model and the ranking model of some ratings; of events, the ranking model alone."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cofi_jobs.core.factors import Factors, UserParameters, initial_factors
from cofi_jobs.core.scale import Scale
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
    return _in_stars(result, data.scale)


def _in_stars(fit: Fit, scale: Scale) -> Fit:
    def rows() -> Iterator[UserParameters]:
        return (to_stars(block, scale) for block in fit.rows())

    return replace(fit, learned=to_stars(fit.learned, scale), rows=rows)


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
        n_items, n_users = data.sizes
        if objective.exact_users:  # their first rows do not matter
            n_users = 0
        start = initial_factors(n_items, n_users, settings.n_factors, settings.seed)
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
        return Start(self.rating.learned if self.rating else None, self.ranking.learned)

    def rows(self) -> Iterator[tuple[UserParameters | None, UserParameters]]:
        """What the rating model and the ranking model learned of the same neighbouring users."""
        if self.rating is None:
            return ((None, block) for block in self.ranking.rows())
        return zip(self.rating.rows(), self.ranking.rows(), strict=True)


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
