"""The ratings that tuning learns from and measures on."""

from dataclasses import dataclass, replace

import numpy as np

from cofi_jobs.core.arrays import sample
from cofi_jobs.core.errors import DataError
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.split import holdout_mask, relevant_from
from cofi_jobs.model.item_means import item_means
from cofi_jobs.settings.fields import Settings
from cofi_jobs.tuning.space import SPACE, ModelName


@dataclass(frozen=True)
class Part:
    """What a model is fitted to and measured on."""

    train: Ratings
    test: Ratings
    relevant: Ratings  # of the test ratings
    means: np.ndarray  # (n_items,) of the train ratings
    scale: Scale | None

    @property
    def n_measured(self) -> int:
        """How many users have a relevant test rating, so that their lists can be measured."""
        return len(np.unique(self.relevant.user_index))

    @property
    def models(self) -> tuple[ModelName, ...]:
        """The models to tune, in order; of events only the ranking model."""
        return tuple(model for model in SPACE if model == "ranking" or self.scale is not None)


def parts(
    ratings: Ratings,
    is_test: np.ndarray,
    times: np.ndarray | None,
    settings: Settings,
    scale: Scale | None,
    damping: float,
) -> tuple[Part, Part]:
    """What the trials are measured on, and what the result is measured on at the end.

    `ratings` are those of a run, by user and in order of time; `is_test` marks the run's test
    ratings; `times` are when they were given, or None if the settings split without. The second
    part is the run's own split into train and test ratings. The first part splits the train ratings
    of the second in the same way, so no trial sees a test rating. Beyond `tune_users` users both
    hold the ratings of so many, drawn at random.
    Raises DataError if there is nothing to learn from or to measure on.
    """
    if ratings.n_users > settings.tune_users:
        chosen = sample(ratings.n_users, settings.tune_users, settings.seed)
        mask = chosen[ratings.user_index]
        ratings, is_test = _of_users(ratings, chosen), is_test[mask]
        times = None if times is None else times[mask]
    whole = _part(ratings, is_test, settings, scale, damping)
    train_times = None if times is None else times[~is_test]
    is_validation = holdout_mask(whole.train, train_times, settings)
    return _part(whole.train, is_validation, settings, scale, damping), whole


def _of_users(ratings: Ratings, chosen: np.ndarray) -> Ratings:
    """The ratings of the users that the mask `chosen` selects, who get new row numbers."""
    theirs = ratings.where(chosen[ratings.user_index])
    user_index = (np.cumsum(chosen)[theirs.user_index] - 1).astype(np.int32)
    trust = None if ratings.trust is None else ratings.trust[chosen]
    return replace(theirs, user_index=user_index, n_users=int(chosen.sum()), trust=trust)


def _part(
    ratings: Ratings,
    is_test: np.ndarray,
    settings: Settings,
    scale: Scale | None,
    damping: float,
) -> Part:
    train, test = ratings.where(~is_test), ratings.where(is_test)
    threshold = relevant_from(settings, scale)
    relevant = test.where(test.rating >= threshold)
    if not len(train.rating) or not len(relevant.rating):
        raise DataError(
            f"found {len(train.rating)} ratings to learn from and {len(relevant.rating)} of "
            f"{threshold:g} and up to measure on, expected some of both"
        )
    return Part(train, test, relevant, item_means(train, damping), scale)
