"""Measures by groups: of users by their activity, of items by their popularity."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cofi_jobs.evaluation.comparison import RATING, Means
from cofi_jobs.evaluation.metrics import Mean
from cofi_jobs.evaluation.ranking_metrics import Lists
from cofi_jobs.evaluation.split import Split

Record = dict[str, Any]  # a group as manifests have it


def by_activity(split: Split, means: Means) -> list[Record]:
    """Thirds of the users with test ratings, by their number of train ratings."""
    n_train, tested = split.counts.train, split.counts.test > 0
    if not tested.any():
        return []
    bounds = np.quantile(n_train[tested], (1 / 3, 2 / 3))
    group = np.searchsorted(bounds, n_train)
    records = []
    for number, name in enumerate(("few", "some", "many")):
        users = tested & (group == number)
        if users.any():
            records.append(
                {
                    "ratings": name,
                    "from": int(n_train[users].min()),
                    "to": int(n_train[users].max()),
                    "users": int(users.sum()),
                    **{
                        model: {measure: m.of(users).value() for measure, m in means[model].items()}
                        for model in means
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
