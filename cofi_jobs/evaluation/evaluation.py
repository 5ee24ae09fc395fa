"""How good the holdout model is on the test ratings, beside baselines and what is published."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cofi_jobs.core.factors import StoredModel
from cofi_jobs.evaluation import baselines
from cofi_jobs.evaluation.baselines import NearItems
from cofi_jobs.evaluation.comparison import (
    PUBLISHED,
    Comparison,
    Means,
    compare,
)
from cofi_jobs.evaluation.groups import Record, by_activity, by_popularity
from cofi_jobs.evaluation.intervals import Interval
from cofi_jobs.evaluation.neighbours import (
    Neighbours,
    listed_neighbours,
    model_neighbours,
    popular_neighbours,
)
from cofi_jobs.evaluation.prediction_errors import PredictionErrors
from cofi_jobs.evaluation.published import PublishedModel, measure_published
from cofi_jobs.evaluation.ranking_metrics import Lists, Scores, rank
from cofi_jobs.evaluation.similar_items import (
    SAME_GROUP,
    SIMILAR_HIT_RATE,
    ItemGroups,
    Successions,
    hit_rates,
)
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
    model: StoredModel,
    published: PublishedModel | None,
    settings: Settings,
    groups: pa.ChunkedArray,
) -> Evaluation:
    """Measure the holdout model, the baselines, and the published run's model if there is one.

    `errors` are those of all users' test ratings. `groups` are those of each item, such as
    "Action|Adventure", null without any.
    """
    counts, n_users = split.counts, len(split.measured)
    near = baselines.near_items(split.relevant_train)
    lists = rank_all(split, model, near, settings)
    successions, neighbours = Successions.of(split), neighbours_of_all(split, model, near, settings)
    for name, of_model in neighbours.items():
        rates = hit_rates(of_model, successions, n_users)
        lists[name] = lists[name].with_measure(SIMILAR_HIT_RATE, rates)
    means: Means = {**errors.means, **{name: of_model.means() for name, of_model in lists.items()}}
    published_means: Means = {}
    compared = np.zeros(n_users, bool)
    compared_with = None
    if published:
        measures = measure_published(
            split, model, published, errors.published, errors.seen, settings, successions
        )
        published_means, compared = measures.means, measures.compared
        compared_with = ComparedWith(published.run_key, int(compared.sum()))
    intervals, comparisons = compare(means, published_means, compared, settings.seed)
    return Evaluation(
        int(counts.test.sum()),
        float((counts.train > 0).mean()),
        means,
        lists,
        intervals,
        comparisons,
        by_activity(split, means),
        by_popularity(split, errors.by_item, lists),
        compared_with,
        counts.order,
        same_group(neighbours, ItemGroups.of(groups, settings.seed), settings.recall_at),
    )


def rank_all(
    split: Split, model: StoredModel, near: NearItems, settings: Settings
) -> dict[str, Lists]:
    """The lists of the measured users by model."""
    W, X = model.ranking.W, model.ranking.X
    item_counts = split.counts.item_train
    scores: dict[str, Scores] = {
        "ranking": lambda users: W[users] @ X.T,
        "popularity": baselines.popularity(item_counts),
        "item_knn": baselines.item_knn(near),
    }
    measured, depths = np.flatnonzero(split.measured), (settings.ndcg_at, settings.recall_at)
    return {
        name: rank(of_model, split.train, split.relevant, X, *depths, measured, item_counts)
        for name, of_model in scores.items()
    }


def neighbours_of_all(
    split: Split, model: StoredModel, near: NearItems, settings: Settings
) -> dict[str, Neighbours]:
    """Similar items by model, as many as the lists' measures look at."""
    counts, k = split.counts, settings.recall_at
    return {
        "ranking": model_neighbours(model.ranking.X, counts.item_trusted, k, settings.similarity),
        "popularity": popular_neighbours(counts.item_train, k),
        "item_knn": listed_neighbours(near.item, near.other, k, len(counts.item_train)),
    }


def same_group(neighbours: Mapping[str, Neighbours], groups: ItemGroups, k: int) -> Record | None:
    """Which share of the first k similar items has a group in common with their item, by ranking.

    Beside it the share by chance. None where the model has no neighbours of an item with a group.
    """
    shares = {name: groups.shares(of_model) for name, of_model in neighbours.items()}
    _, by_chance = shares["ranking"]
    if by_chance is None:
        return None
    return {
        "neighbours": k,
        **{name: share for name, (share, _) in shares.items()},
        "chance": by_chance,
    }
