"""How good the holdout model is on the test ratings, beside baselines and what is published."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cofi_jobs.core.arrays import tally
from cofi_jobs.evaluation.cells import Means
from cofi_jobs.evaluation.comparison import PUBLISHED, Comparison, compare
from cofi_jobs.evaluation.groups import Activity, Record, by_activity, by_popularity
from cofi_jobs.evaluation.intervals import Interval
from cofi_jobs.evaluation.measured_lists import MeasuredLists
from cofi_jobs.evaluation.prediction_errors import PredictionErrors
from cofi_jobs.evaluation.ranking_metrics import Lists
from cofi_jobs.evaluation.similar_items import SAME_GROUP
from cofi_jobs.evaluation.split import Split
from cofi_jobs.evaluation.split_order import SplitOrder
from cofi_jobs.evaluation.user_sums import UserGroups, UserSums


@dataclass(frozen=True)
class ComparedWith:
    """The published run, and the number of users on whom both runs can be measured."""

    run_key: str
    n_users: int


@dataclass(frozen=True)
class Evaluation:
    """All measures of a run."""

    n_test: int  # test ratings
    users_served: float  # the share of users who have train ratings, and so a list
    means: Means
    lists: Mapping[str, Lists]  # by ranking
    intervals: Mapping[str, Mapping[str, Interval]]  # of our models' measures
    comparisons: list[Comparison]
    by_activity: list[Record]
    by_popularity: list[Record]
    published: ComparedWith | None
    order: SplitOrder | None  # of the split; None: unknown
    same_group: Record | None  # of similar items, by ranking; None without groups

    def value(self, model: str, measure: str) -> float | None:
        """A mean over all users."""
        return self.means[model][measure].value()

    def to_record(self) -> dict[str, Any]:
        """The measures as manifests have them."""
        record: dict[str, Any] = {
            "held_out_ratings": self.n_test,
            **{
                model: {measure: mean.value() for measure, mean in of_model.items()}
                for model, of_model in self.means.items()
            },
        }
        for model, lists in self.lists.items():
            record[model][f"coverage@{lists.recall_at}"] = lists.coverage()
            record[model]["users"] = lists.n_users()
        if self.same_group:
            record[SAME_GROUP] = self.same_group
        record["users_served"] = self.users_served
        if self.order:
            record["split"] = self.order.to_record()
        record["intervals"] = self.intervals
        record["by_activity"] = self.by_activity
        record["by_popularity"] = self.by_popularity
        if self.published:
            run_key, n_users = self.published.run_key, self.published.n_users
            record[PUBLISHED] = {"run_key": run_key, "users": n_users}
        return record


def evaluate(
    split: Split,
    errors: PredictionErrors,
    lists: MeasuredLists,
    measured: np.ndarray,
    published: str | None,
    seed: int,
) -> Evaluation:
    """Put together what was measured of the holdout model, the baselines and the published run.

    `measured` are the row numbers of the users whose lists are measured; `published` is the run
    whose model is measured as well.
    """
    counts, activity = split.counts, Activity.of(split.counts.n_tested)
    n_train = tally(split.train.user_index, split.train.n_users)
    groups = UserGroups.of(
        measured, counts.n_users, seed, activity, (n_train, split.n_test), errors.compared
    )
    sums = errors.sums.beside(UserSums.of(lists.means(), lists.published, groups))
    intervals, comparisons = compare(sums.means, sums.compared, sums.published, seed)
    return Evaluation(
        counts.n_test,
        counts.n_served / counts.n_users,
        sums.means,
        lists.lists,
        intervals,
        comparisons,
        by_activity(activity, sums.by_activity),
        by_popularity(split, errors.by_item, lists.lists),
        ComparedWith(published, errors.n_compared) if published else None,
        counts.order,
        lists.same_group,
    )
