"""What a model must beat: predictions and rankings that need no learning."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.metrics import Scores
from cofi_jobs.model import Ratings, from_newest, ranges

DAMPING = 5.0  # ratings' worth of the mean, LensKit's and Funk's value; not a setting: a baseline should not move
NEIGHBOURS = 50
LONGEST_HISTORY = 500
PAIRS = 1 << 23  # co-rated pairs to hold at once


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
    liked = liked.where(from_newest(liked.user_index) <= LONGEST_HISTORY)
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
            result[row] = np.bincount(speaks_for.values[place], weight[place], minlength=liked.n_items)
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


def _neighbours(users_of: _Rows, items_of: _Rows, sizes: np.ndarray, k: int) -> tuple[np.ndarray, ...]:
    """Each item with its k most similar others: item, other, cosine; some items at a time."""
    n_items = len(sizes)
    # Pairs of each item: over the users who liked it, how many items they liked.
    of_user = np.diff(items_of.starts)
    pairs = np.concatenate([[0], np.cumsum(of_user[users_of.values])])[users_of.starts]
    found: list[tuple[np.ndarray, ...]] = []
    start = 0
    while start < n_items:
        most = min(start + max(1, PAIRS // n_items), n_items)
        stop = max(start + 1, min(most, int(np.searchsorted(pairs, pairs[start] + PAIRS, side="right")) - 1))
        number, place = users_of.expand(np.arange(start, stop))
        entry, place = items_of.expand(users_of.values[place])
        row, other = number[entry], items_of.values[place]
        both = np.bincount(row * n_items + other, minlength=(stop - start) * n_items).reshape(-1, n_items)
        both[np.arange(stop - start), np.arange(start, stop)] = 0
        row, other = np.nonzero(both)
        cosine = both[row, other] / np.sqrt(sizes[start + row].astype(float) * sizes[other])
        order = np.lexsort((other, -cosine, row))
        rank = np.arange(len(row)) - np.searchsorted(row, np.arange(stop - start))[row]
        keep = order[rank < k]
        found.append((row[keep] + start, other[keep], cosine[keep]))
        start = stop
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))
