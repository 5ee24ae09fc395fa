"""How good similar items are: of any table of neighbours, ours or a baseline's.

- `similar_hit_rate`: a user liked an item and, next, a test item. How often is the second one among
  the first k neighbours of the first?
- `same_group`: which share of the first k neighbours has a group in common with their item? Beside
  it stands the share by chance: that of all other items.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cofi_jobs.core.arrays import from_newest, sample, tally
from cofi_jobs.evaluation.neighbours import Neighbours
from cofi_jobs.evaluation.split import Split

SIMILAR_HIT_RATE, SAME_GROUP = "similar_hit_rate", "same_group"
PAIRS_OF_A_USER = 5  # the first test items of a user: more of some users would tell little more
GROUPED_ITEMS = 1000  # items whose groups are looked at


@dataclass(frozen=True)
class Successions:
    """Pairs of items that a user liked one after the other; the second is a test item."""

    user: np.ndarray
    item: np.ndarray
    next_item: np.ndarray

    @classmethod
    def of(cls, split: Split) -> "Successions":
        """The first pairs of each measured user, at most five; sorted by user."""
        liked, n_users = split.relevant_train, split.train.n_users  # in order of user and time
        newest = liked.where(np.diff(liked.user_index, append=-1) != 0)  # of each user
        test = split.relevant
        counts = tally(test.user_index, n_users)
        number = np.repeat(counts, counts) - from_newest(counts)  # 0: the user's first test item
        test = test.where(number <= PAIRS_OF_A_USER)
        user = np.concatenate([newest.user_index, test.user_index])
        order = np.argsort(user, kind="stable")
        user, item = user[order], np.concatenate([newest.item_index, test.item_index])[order]
        pair = np.flatnonzero((user[1:] == user[:-1]) & (order[1:] >= len(newest.user_index)))
        n_pairs = tally(user[pair], n_users)
        first = np.repeat(n_pairs, n_pairs) - from_newest(n_pairs) < PAIRS_OF_A_USER
        return cls(user[pair][first], item[pair][first], item[pair + 1][first])


def hit_rates(neighbours: Neighbours, successions: Successions, n_users: int) -> np.ndarray:
    """The share of hits of each user (n_users,), NaN for a user without a pair."""
    items, place = np.unique(successions.item, return_inverse=True)
    hits = (neighbours(items)[place] == successions.next_item[:, None]).any(axis=1)
    counts = np.bincount(successions.user, minlength=n_users)
    rates = np.full(n_users, np.nan)
    np.divide(
        np.bincount(successions.user, hits, minlength=n_users), counts, out=rates, where=counts > 0
    )
    return rates


@dataclass(frozen=True)
class ItemGroups:
    """Which groups each item has, and a sample of the items that have some."""

    items_of: list[np.ndarray]  # of each group
    groups_of: dict[int, np.ndarray]  # of each item of the sample
    n_items: int

    @classmethod
    def of(cls, groups: pa.ChunkedArray, seed: int) -> "ItemGroups":
        """From each item's groups such as "Action|Adventure", null without any."""
        split = pc.split_pattern(groups.combine_chunks(), "|")
        item = pc.list_parent_indices(split).to_numpy()
        names = pc.utf8_trim_whitespace(pc.list_flatten(split))
        group = names.dictionary_encode().indices.to_numpy()
        named = pc.not_equal(names, "").to_numpy(zero_copy_only=False)
        item, group = item[named], group[named]
        order = np.argsort(group, kind="stable")
        items_of = np.split(item[order], np.cumsum(np.bincount(group))[:-1]) if len(group) else []
        with_groups = np.unique(item)
        chosen = with_groups[sample(len(with_groups), GROUPED_ITEMS, seed)]
        first, end = np.searchsorted(item, chosen), np.searchsorted(item, chosen, "right")
        groups_of = {int(i): group[a:b] for i, a, b in zip(chosen, first, end, strict=True)}
        return cls(items_of, groups_of, len(groups))

    def shares(self, neighbours: Neighbours) -> tuple[float | None, float | None]:
        """The share of neighbours that have a group in common with their item, and by chance.

        Means over the sampled items that have neighbours; None without any.
        """
        table = neighbours(np.array(list(self.groups_of), np.int64))
        shares, by_chance = [], []
        for others, (item, groups) in zip(table, self.groups_of.items(), strict=True):
            others = others[others >= 0]
            if not len(others):
                continue
            alike = np.zeros(self.n_items, bool)
            for group in groups:
                alike[self.items_of[group]] = True
            alike[item] = False
            shares.append(alike[others].mean())
            by_chance.append(alike.sum() / (self.n_items - 1))
        return (float(np.mean(shares)), float(np.mean(by_chance))) if shares else (None, None)
