"""Ratings to learn from: those in this process, and what all such are asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from cofi_jobs.core.factors import Factors, UserParameters
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.checkpoints import Checkpoints, NoCheckpoint
from cofi_jobs.model.fit import Fit, fit_ratings, shard_of_all
from cofi_jobs.model.item_means import mean_normalised
from cofi_jobs.model.objectives import Objective, ranking_target, rating_target
from cofi_jobs.model.user_ratings import UserRatings, by_user


class Learnable(Protocol):
    """Ratings to learn from, wherever they are."""

    @property
    def means(self) -> np.ndarray | None:
        """What is taken off each item's ratings for the rating model, (n_items,)."""

    @property
    def scale(self) -> Scale | None:
        """The rating scale; None: events."""

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of items and users."""

    def fit(self, objective: Objective, initial: Factors, seed: int) -> Fit:
        """Fit one model to them, from `initial` on, as `model.fit.fit`."""


@dataclass(frozen=True)
class Observations:
    """Ratings in this process, as `Learnable`. The ranking model needs no `means`."""

    ratings: Ratings
    means: np.ndarray | None
    scale: Scale | None
    checkpoints: Checkpoints = NoCheckpoint

    @property
    def sizes(self) -> tuple[int, int]:
        """As in `Learnable`."""
        return self.ratings.n_items, self.ratings.n_users

    def fit(self, objective: Objective, initial: Factors, seed: int) -> Fit:
        """As in `Learnable`."""
        fit = fit_ratings(objective, initial, self.of_model(objective), seed, self.checkpoints)
        if not objective.exact_users:
            return fit
        # What the model makes of the ratings is made again for the rows, and not kept till then.
        return replace(fit, rows=partial(self._exact_rows, objective, fit.learned))

    def _exact_rows(self, objective: Objective, learned: Factors) -> Iterator[UserParameters]:
        shard = shard_of_all(objective, self.of_model(objective), self.ratings.n_items)
        prior = {} if learned.prior is None else {"prior": learned.prior}
        return shard.rows({"X": learned.X, **prior})

    def of_model(self, objective: Objective) -> UserRatings:
        """The ratings with y and confidence as the model with this objective has them."""
        ratings = self.ratings
        if objective.name == "rating":
            assert self.scale is not None  # events have no rating model
            assert self.means is not None
            y = rating_target(mean_normalised(ratings, self.means), self.scale)
        else:
            y = ranking_target(ratings.rating, self.scale, objective.zero)
        confidence = objective.confidence(ratings.rating)
        columns = ratings.user_index, ratings.item_index, y
        return by_user(*columns, ratings.n_users, confidence, ratings.tied, ratings.trust)
