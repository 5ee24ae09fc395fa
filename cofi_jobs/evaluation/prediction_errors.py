"""Errors of predicted ratings on the test ratings, some users at a time."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.factors import Factors, RatingModel
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.baselines import Biases
from cofi_jobs.evaluation.comparison import RATING
from cofi_jobs.evaluation.metrics import Mean, errors, errors_of_rows
from cofi_jobs.evaluation.published import PublishedModel, PublishedUsers
from cofi_jobs.evaluation.user_sums import Measures, UserSums


@dataclass(frozen=True)
class UserBlock:
    """Some users, whose numbers start at 0, and what holdout models have learned of them."""

    train: Ratings
    test: Ratings
    rating: Factors | None  # of the rating model; of events there is none
    published: PublishedUsers | None

    def compared(self) -> np.ndarray:
        """Mask of the users on whom the published run can be measured as well."""
        return self.published.compared() if self.published else np.zeros(self.test.n_users, bool)


@dataclass(frozen=True)
class BlockErrors:
    """The errors of what is predicted for a block of users; of events there are none."""

    means: Measures  # over users
    published: Measures  # of the published model, over users
    by_item: Mapping[str, Mean]  # of the rating model, over items


@dataclass(frozen=True)
class PredictionErrors:
    """Sums of the errors for some users; those of the users that follow are added by +."""

    sums: UserSums
    by_item: Mapping[str, Mean]
    n_compared: int  # users on whom the published run can be measured as well
    compared: np.ndarray  # (n_measured,) which users these are, of those whose lists are measured

    def __add__(self, other: "PredictionErrors") -> "PredictionErrors":
        return PredictionErrors(
            self.sums + other.sums,
            {name: mean + other.by_item[name] for name, mean in self.by_item.items()},
            self.n_compared + other.n_compared,
            np.concatenate([self.compared, other.compared]),
        )


@dataclass(frozen=True)
class Predictors:
    """All that predicts ratings, without users; without a scale, that of events, nothing does."""

    means: np.ndarray  # (n_items,) of the rating model
    biases: Biases
    published: PublishedModel | None
    scale: Scale | None

    def errors(self, users: UserBlock) -> BlockErrors:
        """The errors for the test ratings of some users."""
        if self.scale is None or users.rating is None:
            return BlockErrors({}, {}, {})
        test = users.test
        model = RatingModel(users.rating, self.means)
        ours = model.predicted(test.user_index, test.item_index, self.scale)
        predicted = {
            RATING: ours,
            "global_mean": np.full(len(ours), self.biases.mean),
            "item_means": self.means[test.item_index],
            "damped_means": self.scale.clip(self.biases.predicted(users.train, test)),
        }
        published = {}
        if self.published and users.published:
            theirs = self.published.predicted(users.published, test, self.scale)
            published[RATING] = errors(theirs, test)
        return BlockErrors(
            {name: errors(of_model, test) for name, of_model in predicted.items()},
            published,
            errors_of_rows(ours, test.rating, test.item_index, test.n_items),
        )
