"""Measures of predictions and of rankings, each user's for itself, and intervals for their means."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.arrays import ranges, to_unit_length
from cofi_jobs.core.machine import in_parallel
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.ranking.top_k import block_size, top_k_unrated

# Scores of users, by their numbers (n,), for all items, (n, n_items), which the caller may change; -inf bars an item.
Scores = Callable[[np.ndarray], np.ndarray]
LOWER_IS_BETTER = ("rmse", "mae", "similarity")
DRAWS = 1000
CELLS = 20_000


@dataclass(frozen=True)
class Lists:
    """How good each user's list is, and what the lists show."""

    by_user: dict[
        str, np.ndarray
    ]  # measure -> (n_users,), NaN for a user that it does not say anything of
    shown: np.ndarray  # (n_items,): in how many lists an item is
    found: np.ndarray  # (n_items,): in how many lists of users who wanted it


def rank(
    scores: Scores,
    known: Ratings,
    wanted: Ratings,
    vectors: np.ndarray,
    ndcg_at: int = 10,
    recall_at: int = 20,
    users: np.ndarray | None = None,
) -> Lists:
    """Rank all items but the known ones for each user with known ratings, or for `users` of them; blocks in threads.

    With h_r = 1 where the item at rank r is wanted, and n wanted items:

    - `ndcg`: sum over r <= ndcg_at of h_r / log2(r + 1), over the largest possible (Järvelin & Kekäläinen 2002)
    - `map`: sum over r <= ndcg_at of h_r * (share of hits among the first r), over n
    - `mrr`: 1 / rank of the first hit, 0 beyond ndcg_at; `hit_rate`: 1 if there is a hit up to ndcg_at
    - `recall`: hits up to recall_at, over n

    These are NaN for a user who wants nothing. Of the list up to recall_at, wanted or not:

    - `novelty`: mean of -log2(share of all users who have rated the item), in bits (Zhou et al. 2010)
    - `similarity`: mean cosine of the `vectors` (n_items, n_factors) of two items of the list (Ziegler et al. 2005)
    """
    n_users, n_items, depth = known.n_users, known.n_items, max(ndcg_at, recall_at)
    n_known = np.bincount(known.user_index, minlength=n_users)
    n_wanted = np.bincount(wanted.user_index, minlength=n_users)
    keys = np.sort(wanted.user_index.astype(np.int64) * n_items + wanted.item_index)
    ranks = np.arange(1, depth + 1)
    discounts = 1 / np.log2(ranks + 1)
    ideal = np.cumsum(discounts)
    surprise = -np.log2(np.maximum(np.bincount(known.item_index, minlength=n_items), 1) / n_users)
    unit = to_unit_length(vectors)
    names = ("ndcg", "recall", "map", "mrr", "hit_rate", "novelty", "similarity")
    by_user = {name: np.full(n_users, np.nan) for name in names}
    first = np.cumsum(n_known) - n_known

    def of_block(users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items shown, and those of them that were wanted; measures go to `by_user`."""
        rows, places = ranges(first[users], n_known[users])
        best, values = top_k_unrated(scores(users), rows, known.item_index[places], depth)
        real = np.isfinite(values) & (n_known[users, None] > 0)
        hits = np.zeros(real.shape, bool)
        if len(keys):
            pairs = users[:, None] * n_items + best
            hits = (keys[np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)] == pairs) & real
        n, short = np.maximum(n_wanted[users], 1), hits[:, :ndcg_at]
        rank_of = ranks[: short.shape[1]]
        measured = (n_wanted[users] > 0) & (n_known[users] > 0)
        for name, value in (
            (
                "ndcg",
                (short * discounts[: short.shape[1]]).sum(axis=1)
                / ideal[np.minimum(n, ndcg_at) - 1],
            ),
            ("recall", hits[:, :recall_at].sum(axis=1) / n),
            ("map", (short * np.cumsum(short, axis=1) / rank_of).sum(axis=1) / n),
            ("mrr", (short / rank_of).max(axis=1, initial=0)),
            ("hit_rate", short.any(axis=1)),
        ):
            by_user[name][users] = np.where(measured, value, np.nan)
        best, real, hits = best[:, :recall_at], real[:, :recall_at], hits[:, :recall_at]
        length = real.sum(axis=1)
        novelty = np.where(real, surprise[best], 0).sum(axis=1) / np.maximum(length, 1)
        by_user["novelty"][users] = np.where(length > 0, novelty, np.nan)
        # Of unit vectors, the sum over all pairs of their products is |sum of the vectors|^2.
        total = np.einsum("bk,bkf->bf", real.astype(np.float32), unit[best])
        own = np.where(real, np.einsum("nf,nf->n", unit, unit)[best], 0).sum(axis=1)
        similarity = ((total**2).sum(axis=1) - own) / np.maximum(length * (length - 1), 1)
        by_user["similarity"][users] = np.where(length > 1, similarity, np.nan)
        return best[real], best[hits]

    every = np.arange(n_users) if users is None else users
    size = block_size(n_items)
    shown, found = np.zeros(n_items, np.int64), np.zeros(n_items, np.int64)
    for of_shown, of_found in in_parallel(
        of_block, (every[i : i + size] for i in range(0, len(every), size))
    ):
        shown += np.bincount(of_shown, minlength=n_items)
        found += np.bincount(of_found, minlength=n_items)
    return Lists(by_user, shown, found)


@dataclass(frozen=True)
class Mean:
    """A mean over users as a ratio of two sums over users, each (n_users,); of squares, the root is taken."""

    numerator: np.ndarray
    denominator: np.ndarray
    root: bool = False

    def of(self, users: np.ndarray) -> "Mean":
        """The same over some users only, by a mask."""
        return Mean(
            np.where(users, self.numerator, 0), np.where(users, self.denominator, 0), self.root
        )

    def value(self) -> float | None:
        """The mean; None over nothing."""
        return _finite(self._ratio(self.numerator.sum(), self.denominator.sum()))

    def _ratio(self, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
        ratio = np.full(np.shape(denominator), np.nan)
        np.divide(numerator, denominator, out=ratio, where=denominator > 0)
        return np.sqrt(ratio) if self.root else ratio


def mean_of(values: np.ndarray) -> Mean:
    """The plain mean over the users who have a value that is not NaN."""
    measured = np.isfinite(values)
    return Mean(np.where(measured, values, 0), measured.astype(float))


def errors(predicted: np.ndarray, held_out: Ratings) -> dict[str, Mean]:
    """RMSE and MAE over held-out ratings, in units of the rating, as sums over each user's ratings."""
    error = predicted.astype(np.float64) - held_out.rating
    n = np.bincount(held_out.user_index, minlength=held_out.n_users).astype(float)

    def by_user(values: np.ndarray) -> np.ndarray:
        return np.bincount(held_out.user_index, values, minlength=held_out.n_users)

    return {"rmse": Mean(by_user(error**2), n, root=True), "mae": Mean(by_user(np.abs(error)), n)}


Interval = tuple[float | None, float | None]


def intervals(
    means: Mapping[str, Mean], pairs: Mapping[str, tuple[Mean, Mean]], seed: int
) -> dict[str, Interval]:
    """95 % bootstrap intervals over users: of each mean, and of each pair's difference (first less second).

    Users are drawn with replacement (Efron 1979); all values are taken from the same draws, so differences are
    paired. Beyond 20,000 users, users are first put together at random into that many groups, which are then drawn:
    the sums of groups are as independent as those of users, and the cost stays bounded.
    """
    wanted = {**{name: (mean,) for name, mean in means.items()}, **pairs}
    if not wanted:
        return {}
    columns = {
        id(array): array
        for group in wanted.values()
        for mean in group
        for array in (mean.numerator, mean.denominator)
    }
    rng = np.random.default_rng(seed)
    n_users = len(next(iter(columns.values())))
    n = min(n_users, CELLS)
    cell = np.arange(n_users) if n == n_users else rng.integers(n, size=n_users)
    sums = np.stack([np.bincount(cell, array, minlength=n) for array in columns.values()], axis=1)
    draws = np.empty((DRAWS, sums.shape[1]))
    for draw in range(DRAWS):
        draws[draw] = np.bincount(rng.integers(n, size=n), minlength=n) @ sums
    place = {key: number for number, key in enumerate(columns)}

    def drawn(mean: Mean) -> np.ndarray:
        return mean._ratio(
            draws[:, place[id(mean.numerator)]], draws[:, place[id(mean.denominator)]]
        )

    result: dict[str, Interval] = {}
    for name, (first, *second) in wanted.items():
        values = drawn(first) - drawn(second[0]) if second else drawn(first)
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, (2.5, 97.5)) if len(values) else (np.nan, np.nan)
        result[name] = (_finite(low), _finite(high))
    return result


def _finite(value: float | np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None
