"""How good the holdout model is on the test ratings, beside baselines and what is published."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cofi_jobs.core.factors import StoredModel
from cofi_jobs.evaluation import baselines
from cofi_jobs.evaluation.comparison import (
    PUBLISHED,
    RATING,
    Comparison,
    Means,
    compare,
)
from cofi_jobs.evaluation.groups import Record, by_activity, by_popularity
from cofi_jobs.evaluation.intervals import Interval
from cofi_jobs.evaluation.metrics import errors
from cofi_jobs.evaluation.published import PublishedModel, measure_published
from cofi_jobs.evaluation.ranking_metrics import Lists, Scores, rank
from cofi_jobs.evaluation.split import Split
from cofi_jobs.evaluation.split_order import SplitOrder
from cofi_jobs.settings.fields import Settings


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
    split: Split, model: StoredModel, published: PublishedModel | None, settings: Settings
) -> Evaluation:
    """Measure the holdout model, the baselines, and the published run's model if there is one."""
    train, test = split.train, split.test
    predictions, lists = predict_all(split, model), rank_all(split, model, settings)
    means: Means = {
        **{name: errors(of_model, test) for name, of_model in predictions.items()},
        **{name: of_model.means() for name, of_model in lists.items()},
    }
    published_means: Means = {}
    compared = np.zeros(train.n_users, bool)
    compared_with = None
    if published:
        measures = measure_published(split, model, published, settings)
        published_means, compared = measures.means, measures.compared
        compared_with = ComparedWith(published.run_key, int(compared.sum()))
    intervals, comparisons = compare(means, published_means, compared, settings.seed)
    n_train = np.bincount(train.user_index, minlength=train.n_users)
    return Evaluation(
        len(test.rating),
        float((n_train > 0).mean()),
        means,
        lists,
        intervals,
        comparisons,
        by_activity(split, means),
        by_popularity(split, predictions.get(RATING), lists),
        compared_with,
        split.order,
    )


def predict_all(split: Split, model: StoredModel) -> dict[str, np.ndarray]:
    """Predictions for the test ratings by model; none for events."""
    train, test = split.train, split.test
    if split.scale is None:
        return {}
    return {
        RATING: model.predicted_ratings(test.user_index, test.item_index, split.scale),
        "global_mean": baselines.global_mean(train, test),
        "item_means": model.means[test.item_index],
        "damped_means": split.scale.clip(baselines.damped_means(train, test)),
    }


def rank_all(split: Split, model: StoredModel, settings: Settings) -> dict[str, Lists]:
    """The lists of the measured users by model."""
    W, X = model.ranking.W, model.ranking.X
    scores: dict[str, Scores] = {
        "ranking": lambda users: W[users] @ X.T,
        "popularity": baselines.popularity(split.train),
        "item_knn": baselines.item_knn(split.relevant_train),
    }
    measured, depths = np.flatnonzero(split.measured), (settings.ndcg_at, settings.recall_at)
    return {
        name: rank(of_model, split.train, split.relevant, X, *depths, measured)
        for name, of_model in scores.items()
    }
