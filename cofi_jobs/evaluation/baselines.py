"""What a model must beat: predictions and rankings that need no learning."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.arrays import from_newest, ranges, tally
from cofi_jobs.core.machine import in_parallel
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation.ranking_metrics import Scores
from cofi_jobs.ranking.top_k import block_size, top_k

# By the names under which metrics and tables have them; the first of each is ours.
PREDICTIONS = ("rating", "global_mean", "item_means", "damped_means")
RANKINGS = ("ranking", "popularity", "item_knn")

# Ratings' worth of the mean, LensKit's and Funk's value. Not a setting: a baseline should not move.
DAMPING = 5.0
NEIGHBOURS = 50
LONGEST_HISTORY = 500
USERS_AT_ONCE = 1 << 13  # of an item, whose other relevant items are counted at once


@dataclass(frozen=True)
class Biases:
    """The mean of all train ratings, and how far the ratings of each item are from it, damped.

    It is the bias model of Koren, Bell & Volinsky (2009, Computer), fitted one side after the
    other: b_item is the damped mean of (rating - mean), b_user that of what then remains.
    """

    mean: float
    of_items: np.ndarray  # (n_items,)
    damping: float

    @classmethod
    def of(
        cls, item_counts: np.ndarray, item_sums: np.ndarray, damping: float = DAMPING
    ) -> "Biases":
        """From the numbers (n_items,) and the sums (n_items,) of the train ratings of items."""
        mean = float(item_sums.sum() / item_counts.sum())
        return cls(mean, (item_sums - mean * item_counts) / (item_counts + damping), damping)

    def predicted(self, train: Ratings, test: Ratings) -> np.ndarray:
        """mean + b_item + b_user for each test rating; `train` are those of the same users."""
        residual = train.rating - (self.mean + self.of_items[train.item_index])
        counts = tally(train.user_index, train.n_users)
        of_users = tally(train.user_index, train.n_users, residual) / (counts + self.damping)
        return self.mean + self.of_items[test.item_index] + of_users[test.user_index]


def popularity(item_counts: np.ndarray) -> Scores:
    """The same for every user: how many train ratings an item has, by `item_counts` (n_items,)."""
    counts = item_counts.astype(np.float32)
    return lambda users: np.tile(counts, (len(users), 1))


@dataclass(frozen=True)
class NearItems:
    """Each item with its most similar others: three columns, sorted by item, the nearest first."""

    relevant: Ratings  # that they were found by
    item: np.ndarray
    other: np.ndarray
    cosine: np.ndarray


def near_items(relevant: Ratings, n_neighbours: int = NEIGHBOURS) -> NearItems:
    """The neighbours of item-based nearest neighbours (Deshpande & Karypis 2004, ACM TOIS).

    Two items are similar by the cosine of their columns of the binary matrix users x items of
    relevant ratings. Of users with more than 500 relevant items, the newest 500 count, to bound the
    number of pairs. `relevant` is sorted by user.
    """
    age = from_newest(np.bincount(relevant.user_index))
    relevant = relevant.where(age <= LONGEST_HISTORY)
    items_of = _Rows.of(relevant.user_index, relevant.item_index, relevant.n_users)
    order = np.argsort(relevant.item_index, kind="stable")
    users_of = _Rows.of(relevant.item_index[order], relevant.user_index[order], relevant.n_items)
    sizes = np.bincount(relevant.item_index, minlength=relevant.n_items)
    return NearItems(relevant, *_neighbours(users_of, items_of, sizes, n_neighbours))


def item_knn(near: NearItems) -> Scores:
    """Item-based nearest neighbours, which score for the users by whose ratings they were found.

    An item's score is the sum of its similarities to those of its nearest neighbours that are
    relevant for the user.
    """
    relevant, n_items = near.relevant, near.relevant.n_items
    items_of = _Rows.of(relevant.user_index, relevant.item_index, relevant.n_users)
    # Neighbours turned round: which items a relevant item speaks for, and how much.
    order = np.argsort(near.other, kind="stable")
    speaks_for = _Rows.of(near.other[order], near.item[order], n_items)
    weight = near.cosine[order]

    def scores(users: np.ndarray) -> np.ndarray:
        result = np.empty((len(users), n_items), np.float32)
        for row, user in enumerate(users):
            items = items_of.values[items_of.starts[user] : items_of.starts[user + 1]]
            _, place = speaks_for.expand(items)
            result[row] = np.bincount(speaks_for.values[place], weight[place], minlength=n_items)
        return result

    return scores


@dataclass(frozen=True)
class _Rows:
    """A sparse binary matrix: the columns of row r are values[starts[r]:starts[r + 1]]."""

    starts: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, row: np.ndarray, values: np.ndarray, n_rows: int) -> "_Rows":
        return cls(np.searchsorted(row, np.arange(n_rows + 1)), values)

    def expand(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All entries of some rows: which of `rows` each belongs to, and its place in `values`."""
        return ranges(self.starts[rows], self.starts[rows + 1] - self.starts[rows])


def _neighbours(
    users_of: _Rows, items_of: _Rows, sizes: np.ndarray, k: int
) -> tuple[np.ndarray, ...]:
    """Each item with its k most similar others: item, other, cosine; blocks of items in threads."""
    n_items = len(sizes)
    lengths, norms = np.diff(items_of.starts), np.sqrt(sizes.astype(np.float64))

    def neighbours(items: np.ndarray) -> tuple[np.ndarray, ...]:
        cosine = np.zeros((len(items), n_items))
        for row, item in enumerate(items):
            users = users_of.values[users_of.starts[item] : users_of.starts[item + 1]]
            for part in np.split(users, range(USERS_AT_ONCE, len(users), USERS_AT_ONCE)):
                _, place = ranges(items_of.starts[part], lengths[part])
                cosine[row] += np.bincount(items_of.values[place], minlength=n_items)
        cosine[np.arange(len(items)), items] = 0
        cosine /= np.maximum(norms[items, None] * norms, 1)
        others, values = top_k(cosine, k)
        rows, places = np.nonzero(values)
        return items[rows], others[rows, places], values[rows, places]

    size = block_size(2 * n_items)  # float64
    blocks = in_parallel(
        neighbours, (np.arange(i, min(i + size, n_items)) for i in range(0, n_items, size))
    )
    return tuple(np.concatenate(column) for column in zip(*blocks, strict=True))
