"""Errors of predicted ratings on the test ratings, some users at a time."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.factors import StoredModel
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.baselines import Biases
from cofi_jobs.evaluation.comparison import RATING, Means
from cofi_jobs.evaluation.metrics import Mean, errors, errors_of_rows
from cofi_jobs.evaluation.published import PublishedModel


@dataclass(frozen=True)
class PredictionErrors:
    """Measures of errors for some users; those of neighbouring users are joined by +."""

    means: Means  # over users; of events there are none
    by_item: Mapping[str, Mean]  # of the rating model, over items; of events there are none
    published: Mapping[str, Mean]  # of the published model, over users; empty without one
    seen: np.ndarray  # (n_users,) mask of those of whom the published model saw a test rating

    def __add__(self, other: "PredictionErrors") -> "PredictionErrors":
        return PredictionErrors(
            {name: _joined(of_model, other.means[name]) for name, of_model in self.means.items()},
            {name: mean.with_sums_of(other.by_item[name]) for name, mean in self.by_item.items()},
            _joined(self.published, other.published),
            np.concatenate([self.seen, other.seen]),
        )


def _joined(one: Mapping[str, Mean], other: Mapping[str, Mean]) -> dict[str, Mean]:
    """Means over neighbouring users."""
    return {name: mean + other[name] for name, mean in one.items()}


@dataclass(frozen=True)
class Predictors:
    """All that predicts ratings; without a scale, that of events, nothing does."""

    model: StoredModel
    biases: Biases
    published: PublishedModel | None
    scale: Scale | None

    def errors(
        self, first_user: int, train: Ratings, test: Ratings, seen: np.ndarray | None
    ) -> PredictionErrors:
        """Errors for the users from `first_user` on, whose numbers start at 0 in these ratings.

        `seen` is the mask of the test ratings that the published model learned from.
        """
        users_seen = np.zeros(test.n_users, bool)
        if seen is not None:
            users_seen[test.user_index[seen]] = True
        if self.scale is None:
            return PredictionErrors({}, {}, {}, users_seen)
        users = test.user_index + first_user
        ours = self.model.predicted_ratings(users, test.item_index, self.scale)
        predicted = {
            RATING: ours,
            "global_mean": np.full(len(ours), self.biases.mean),
            "item_means": self.model.means[test.item_index],
            "damped_means": self.scale.clip(self.biases.predicted(train, test)),
        }
        published = {}
        if self.published:
            theirs = self.published.predicted(users, test.item_index, self.scale)
            published = errors(theirs, test)
        return PredictionErrors(
            {name: errors(of_model, test) for name, of_model in predicted.items()},
            errors_of_rows(ours, test.rating, test.item_index, test.n_items),
            published,
            users_seen,
        )
