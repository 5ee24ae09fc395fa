"""How good lists and similar items are, for the users whose lists are measured."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cofi_jobs.core.factors import ItemFactors
from cofi_jobs.evaluation import baselines
from cofi_jobs.evaluation.baselines import NearItems
from cofi_jobs.evaluation.comparison import RANKING
from cofi_jobs.evaluation.groups import Record
from cofi_jobs.evaluation.neighbours import (
    Neighbours,
    listed_neighbours,
    model_neighbours,
    popular_neighbours,
)
from cofi_jobs.evaluation.published import PublishedModel
from cofi_jobs.evaluation.ranking_metrics import Lists, Scores, rank_split
from cofi_jobs.evaluation.similar_items import (
    SIMILAR_HIT_RATE,
    ItemGroups,
    Successions,
    hit_rates,
)
from cofi_jobs.evaluation.split import Split
from cofi_jobs.evaluation.user_sums import Measures
from cofi_jobs.settings.fields import Settings


@dataclass(frozen=True)
class MeasuredUsers:
    """The split, and the measured users' rows of ranking models; of others they are added by +."""

    split: Split
    W: np.ndarray  # (n_measured, n_factors)
    published: np.ndarray | None  # the same of the published model, 0 for users unknown to it

    def __add__(self, other: "MeasuredUsers") -> "MeasuredUsers":
        """Of both, those of neighbouring users."""
        published = None
        if self.published is not None and other.published is not None:
            published = np.concatenate([self.published, other.published])
        return MeasuredUsers(self.split + other.split, np.concatenate([self.W, other.W]), published)


@dataclass(frozen=True)
class MeasuredLists:
    """The measures of the lists of the measured users."""

    lists: Mapping[str, Lists]  # by ranking
    published: Measures  # of the published model; empty without one
    same_group: Record | None  # of similar items, by ranking; None without groups

    def means(self) -> Measures:
        """The measures of each ranking."""
        return {name: of_model.means() for name, of_model in self.lists.items()}


def measure_lists(
    users: MeasuredUsers,
    items: ItemFactors,
    published: PublishedModel | None,
    settings: Settings,
    groups: pa.ChunkedArray,
) -> MeasuredLists:
    """Measure the lists of the holdout model, of the baselines, and of the published model.

    `groups` are those of each item, such as "Action|Adventure", null without any.
    """
    split = users.split
    near = baselines.near_items(split.relevant_train)
    successions, neighbours = Successions.of(split), neighbours_of_all(split, items, near, settings)
    lists = rank_all(users, items, near, settings)
    for name, of_model in neighbours.items():
        rates = hit_rates(of_model, successions, len(users.W))
        lists[name] = lists[name].with_measure(SIMILAR_HIT_RATE, rates)
    others = {}
    if published and users.published is not None:
        others[RANKING] = published.lists(
            split, users.published, items.ranking, settings, successions
        )
    alike = same_group(neighbours, ItemGroups.of(groups, settings.seed), settings.recall_at)
    return MeasuredLists(lists, others, alike)


def rank_all(
    users: MeasuredUsers, items: ItemFactors, near: NearItems, settings: Settings
) -> dict[str, Lists]:
    """The lists of the measured users by model."""
    W, X = users.W, items.ranking
    scores: dict[str, Scores] = {
        RANKING: lambda block: W[block] @ X.T,
        "popularity": baselines.popularity(users.split.counts.item_train),
        "item_knn": baselines.item_knn(near),
    }
    return {
        name: rank_split(of_model, users.split, X, settings) for name, of_model in scores.items()
    }


def neighbours_of_all(
    split: Split, items: ItemFactors, near: NearItems, settings: Settings
) -> dict[str, Neighbours]:
    """Similar items by model, as many as the lists' measures look at."""
    counts, k = split.counts, settings.recall_at
    return {
        RANKING: model_neighbours(items.ranking, counts.item_trusted, k, settings.similarity),
        "popularity": popular_neighbours(counts.item_train, k),
        "item_knn": listed_neighbours(near.item, near.other, k, len(counts.item_train)),
    }


def same_group(neighbours: Mapping[str, Neighbours], groups: ItemGroups, k: int) -> Record | None:
    """Which share of the first k similar items has a group in common with their item, by ranking.

    Beside it the share by chance. None where the model has no neighbours of an item with a group.
    """
    shares = {name: groups.shares(of_model) for name, of_model in neighbours.items()}
    _, by_chance = shares[RANKING]
    if by_chance is None:
        return None
    return {
        "neighbours": k,
        **{name: share for name, (share, _) in shares.items()},
        "chance": by_chance,
    }
