"""Measures by groups: of users by their activity, of items by their popularity."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cofi_jobs.evaluation.comparison import RATING
from cofi_jobs.evaluation.metrics import Mean, finite
from cofi_jobs.evaluation.ranking_metrics import Lists
from cofi_jobs.evaluation.split import Split

Record = dict[str, Any]  # a group as manifests have it


@dataclass(frozen=True)
class Activity:
    """Thirds of the users with test ratings, by their number of train ratings."""

    n_tested: np.ndarray  # how many of these users have 0, 1, ... train ratings
    bounds: np.ndarray  # the most train ratings of the first third, and of the second

    names = ("few", "some", "many")
    n_groups = 4  # the last one: users without test ratings

    @classmethod
    def of(cls, n_tested: np.ndarray) -> "Activity":
        """Groups by how many users with test ratings have 0, 1, ... train ratings."""
        ends = np.cumsum(n_tested)
        thirds = (max(0, int(ends[-1]) - 1) * np.arange(1, 3)) // 3  # places of users, in order
        return cls(n_tested, np.searchsorted(ends, thirds, side="right"))

    def group(self, n_train: np.ndarray, n_test: np.ndarray) -> np.ndarray:
        """The number of the group of each user, by the numbers of its ratings."""
        return np.where(n_test > 0, np.searchsorted(self.bounds, n_train), len(self.names))


def by_activity(activity: Activity, sums: Mapping[str, Mapping[str, Mean]]) -> list[Record]:
    """The groups that have users, with the measures of each model, by sums over groups."""
    counts = np.arange(len(activity.n_tested))
    group = np.searchsorted(activity.bounds, counts)
    records = []
    for number, name in enumerate(activity.names):
        there = counts[(group == number) & (activity.n_tested > 0)]
        if len(there):
            records.append(
                {
                    "ratings": name,
                    "from": int(there[0]),
                    "to": int(there[-1]),
                    "users": int(activity.n_tested[there].sum()),
                    **{
                        model: {
                            measure: finite(m.values()[number]) for measure, m in of_model.items()
                        }
                        for model, of_model in sums.items()
                    },
                }
            )
    return records


def by_popularity(
    split: Split, errors: Mapping[str, Mean], lists: Mapping[str, Lists]
) -> list[Record]:
    """Items in three groups that hold a third of the train ratings each, from the most rated on.

    `errors` are the measures of the rating model over items, empty for events. In a record `wanted`
    counts the group's relevant ratings by users whose lists are measured, `recall` is the share of
    them that the lists show, and `shown` the group's share of all places in lists.
    """
    counts, n_items = split.counts.item_train, len(split.counts.item_train)
    order = np.argsort(-counts, kind="stable")
    ratings_before = np.cumsum(counts[order]) - counts[order]
    group = np.empty(n_items, int)
    group[order] = np.minimum(ratings_before * 3 // max(1, counts.sum()), 2)
    n_relevant = np.bincount(split.relevant.item_index, minlength=n_items)
    return [
        {
            "items": name,
            "n_items": int(items.sum()),
            "from": int(counts[items].min()),
            "to": int(counts[items].max()),
            "wanted": int(n_relevant[items].sum()),
            **(
                {RATING: {name: m.of(items).value() for name, m in errors.items()}}
                if errors
                else {}
            ),
            **{
                model: _shown_of(of_model, items, int(n_relevant[items].sum()))
                for model, of_model in lists.items()
            },
        }
        for number, name in enumerate(("popular", "middle", "rare"))
        if (items := group == number).any()
    ]


def _shown_of(lists: Lists, items: np.ndarray, n_relevant: int) -> Record:
    """How far the lists show some items, by a mask."""
    return {
        "recall": int(lists.hits[items].sum()) / n_relevant if n_relevant else None,
        "shown": float(lists.shown[items].sum() / max(1, lists.shown.sum())),
    }
