"""What a model must beat: predictions and rankings that need no learning."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.arrays import from_newest, ranges
from cofi_jobs.core.machine import in_parallel
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation.metrics import Scores
from cofi_jobs.ranking.top_k import block_size, top_k

# By the names under which metrics and tables have them; the first of each is ours.
PREDICTIONS = ("rating", "global_mean", "item_means", "damped_means")
RANKINGS = ("ranking", "popularity", "item_knn")

DAMPING = 5.0  # ratings' worth of the mean, LensKit's and Funk's value; not a setting: a baseline should not move
NEIGHBOURS = 50
LONGEST_HISTORY = 500
USERS_AT_ONCE = 1 << 13  # of an item, whose other likes are counted at once


def global_mean(known: Ratings, held_out: Ratings) -> np.ndarray:
    """The mean of all known ratings, for each held-out rating."""
    return np.full(len(held_out.rating), known.rating.mean(dtype=np.float64))


def damped_means(known: Ratings, held_out: Ratings, damping: float = DAMPING) -> np.ndarray:
    """mean + b_item + b_user, b_item the damped mean of (rating - mean), b_user that of what is then left.

    The bias model of Koren, Bell & Volinsky (2009, Computer), fitted one side after the other.
    """
    mean = known.rating.mean(dtype=np.float64)

    def biases(index: np.ndarray, left: np.ndarray, n: int) -> np.ndarray:
        return np.bincount(index, left, minlength=n) / (np.bincount(index, minlength=n) + damping)

    left = known.rating - mean
    b_item = biases(known.item_index, left, known.n_items)
    b_user = biases(known.user_index, left - b_item[known.item_index], known.n_users)
    return mean + b_item[held_out.item_index] + b_user[held_out.user_index]


def popularity(known: Ratings) -> Scores:
    """The same for every user: how many ratings an item has."""
    counts = np.bincount(known.item_index, minlength=known.n_items).astype(np.float32)
    return lambda users: np.tile(counts, (len(users), 1))


def item_knn(liked: Ratings, n_neighbours: int = NEIGHBOURS) -> Scores:
    """Item-based nearest neighbours (Deshpande & Karypis 2004, ACM TOIS).

    Two items are similar by the cosine of their columns of the binary matrix users x items of what was liked; an
    item's score is the sum of its similarities to those of its nearest neighbours that the user liked. Of users who
    liked more than 500 items, the newest 500 count, to bound the number of pairs. `liked` is sorted by user.
    """
    liked = liked.where(from_newest(np.bincount(liked.user_index)) <= LONGEST_HISTORY)
    items_of = _Rows.of(liked.user_index, liked.item_index, liked.n_users)
    order = np.argsort(liked.item_index, kind="stable")
    users_of = _Rows.of(liked.item_index[order], liked.user_index[order], liked.n_items)
    sizes = np.bincount(liked.item_index, minlength=liked.n_items)
    # Neighbours of an item, turned round: which items an item that was liked speaks for, and how much.
    target, source, similarity = _neighbours(users_of, items_of, sizes, n_neighbours)
    order = np.argsort(source, kind="stable")
    speaks_for = _Rows.of(source[order], target[order], liked.n_items)
    weight = similarity[order]

    def scores(users: np.ndarray) -> np.ndarray:
        result = np.empty((len(users), liked.n_items), np.float32)
        for row, user in enumerate(users):
            own = items_of.values[items_of.starts[user] : items_of.starts[user + 1]]
            _, place = speaks_for.expand(own)
            result[row] = np.bincount(
                speaks_for.values[place], weight[place], minlength=liked.n_items
            )
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

    def of_block(items: np.ndarray) -> tuple[np.ndarray, ...]:
        cosine = np.zeros((len(items), n_items))
        for row, item in enumerate(items):
            users = users_of.values[users_of.starts[item] : users_of.starts[item + 1]]
            for some in np.split(users, range(USERS_AT_ONCE, len(users), USERS_AT_ONCE)):
                _, place = ranges(items_of.starts[some], lengths[some])
                cosine[row] += np.bincount(items_of.values[place], minlength=n_items)
        cosine[np.arange(len(items)), items] = 0
        cosine /= np.maximum(norms[items, None] * norms, 1)
        others, values = top_k(cosine, k)
        rows, places = np.nonzero(values)
        return items[rows], others[rows, places], values[rows, places]

    size = block_size(2 * n_items)  # float64
    blocks = in_parallel(
        of_block, (np.arange(i, min(i + size, n_items)) for i in range(0, n_items, size))
    )
    return tuple(np.concatenate(column) for column in zip(*blocks, strict=True))
