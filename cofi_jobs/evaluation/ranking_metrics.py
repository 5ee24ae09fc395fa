"""Measures of rankings, each user's for itself.

With h_r = 1 where the item at rank r is relevant, and n relevant items:

- `ndcg`: sum over r <= ndcg_at of h_r / log2(r + 1), over the largest possible
  (Järvelin & Kekäläinen 2002)
- `map`: sum over r <= ndcg_at of h_r * (share of hits among the first r), over n
- `mrr`: 1 / rank of the first hit, 0 beyond ndcg_at
- `hit_rate`: 1 if there is a hit up to ndcg_at
- `recall`: hits up to recall_at, over n

These are NaN for a user without a relevant item. Of the list up to recall_at:

- `novelty`: mean of -log2(share of all users who have rated the item), in bits (Zhou et al. 2010)
- `similarity`: mean cosine of the vectors of two items of the list (Ziegler et al. 2005)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cofi_jobs.core.arrays import ranges, tally, to_unit_length
from cofi_jobs.core.machine import in_parallel
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation.metrics import Mean, mean_of
from cofi_jobs.evaluation.split import Split
from cofi_jobs.ranking.top_k import block_size, top_k_unrated
from cofi_jobs.settings.fields import Settings

# Scores of users, by their numbers (n,), for all items, (n, n_items), which the caller may change;
# -inf excludes an item.
Scores = Callable[[np.ndarray], np.ndarray]
AT_NDCG = ("ndcg", "map", "mrr", "hit_rate")  # these look as far down the list as NDCG
NAMES = ("ndcg", "recall", "map", "mrr", "hit_rate", "novelty", "similarity")


@dataclass(frozen=True)
class Lists:
    """How good each user's list is, and what the lists show."""

    by_user: dict[str, np.ndarray]  # measure -> (n_users,), NaN where it says nothing of the user
    shown: np.ndarray  # (n_items,): in how many lists an item is
    hits: np.ndarray  # (n_items,): in how many lists of users for whom it is relevant
    ndcg_at: int
    recall_at: int

    def means(self) -> dict[str, Mean]:
        """Means over users, under names that say how far down the list they look."""
        return {
            f"{name}@{self.ndcg_at if name in AT_NDCG else self.recall_at}": mean_of(values)
            for name, values in self.by_user.items()
        }

    def with_measure(self, name: str, values: np.ndarray) -> "Lists":
        """The same with one more measure (n_users,)."""
        return replace(self, by_user={**self.by_user, name: values})

    def coverage(self) -> float | None:
        """The share of all items that is in somebody's list; None without any list."""
        return float((self.shown > 0).mean()) if self.shown.any() else None

    def n_users(self) -> int:
        """How many users the measures of relevant items are means over."""
        return int(np.isfinite(self.by_user["ndcg"]).sum())


def rank(
    scores: Scores,
    train: Ratings,
    relevant: Ratings,
    vectors: np.ndarray,
    ndcg_at: int = 10,
    recall_at: int = 20,
    users: np.ndarray | None = None,
    shares: np.ndarray | None = None,
) -> Lists:
    """Rank all items without a train rating for each user who has some, or for `users` of them.

    `vectors` (n_items, n_factors) say how similar two items are. `shares` (n_items,) are the shares
    of all users who have a train rating of the item; given where these users are not all. Blocks of
    users are ranked in threads.
    """
    if shares is None:
        shares = shares_of_users(tally(train.item_index, train.n_items), train.n_users)
    meter = _Meter.of(train, relevant, vectors, shares, ndcg_at, recall_at)
    by_user = {name: np.full(train.n_users, np.nan) for name in NAMES}

    def measure(users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items shown, and those of them that are relevant; measures go to `by_user`."""
        measures, shown, hits = meter.measure(scores(users), users)
        for name, values in measures.items():
            by_user[name][users] = values
        return shown, hits

    everyone = np.arange(train.n_users) if users is None else users
    n_items, size = train.n_items, block_size(train.n_items)
    shown, hits = np.zeros(n_items, np.int64), np.zeros(n_items, np.int64)
    blocks = (everyone[i : i + size] for i in range(0, len(everyone), size))
    for shown_items, hit_items in in_parallel(measure, blocks):
        shown += np.bincount(shown_items, minlength=n_items)
        hits += np.bincount(hit_items, minlength=n_items)
    return Lists(by_user, shown, hits, ndcg_at, recall_at)


def shares_of_users(item_counts: np.ndarray, n_users: int) -> np.ndarray:
    """Which share of the users has rated an item (n_items,), one of them at least."""
    shares: np.ndarray = np.maximum(item_counts, 1) / n_users
    return shares


def rank_split(scores: Scores, split: Split, vectors: np.ndarray, settings: Settings) -> Lists:
    """As `rank`, for the measured users of a split."""
    shares = shares_of_users(split.counts.item_train, split.counts.n_users)
    depths = settings.ndcg_at, settings.recall_at
    return rank(scores, split.train, split.relevant, vectors, *depths, shares=shares)


@dataclass(frozen=True)
class _Meter:
    """What the measures of every block of users need."""

    train: Ratings
    n_train: np.ndarray  # (n_users,)
    first_train: np.ndarray  # (n_users,) where the user's train ratings begin
    n_relevant: np.ndarray  # (n_users,)
    pairs: np.ndarray  # user * n_items + item of each relevant rating, sorted
    surprise: np.ndarray  # (n_items,) -log2 of the share of users who have rated the item
    unit: np.ndarray  # (n_items, n_factors) vectors of length 1
    squares: np.ndarray  # (n_items,) their squared lengths
    ndcg_at: int
    recall_at: int

    @classmethod
    def of(
        cls,
        train: Ratings,
        relevant: Ratings,
        vectors: np.ndarray,
        shares: np.ndarray,
        ndcg_at: int,
        recall_at: int,
    ) -> "_Meter":
        n_users, n_items = train.n_users, train.n_items
        n_train = np.bincount(train.user_index, minlength=n_users)
        unit = to_unit_length(vectors)
        return cls(
            train,
            n_train,
            np.cumsum(n_train) - n_train,
            np.bincount(relevant.user_index, minlength=n_users),
            np.sort(relevant.user_index.astype(np.int64) * n_items + relevant.item_index),
            -np.log2(shares),
            unit,
            np.einsum("nf,nf->n", unit, unit),
            ndcg_at,
            recall_at,
        )

    def measure(
        self, scores: np.ndarray, users: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Each measure (n,) of some users, by their scores; the items shown, and the hits."""
        rows, places = ranges(self.first_train[users], self.n_train[users])
        rated = self.train.item_index[places]
        best, values = top_k_unrated(scores, rows, rated, max(self.ndcg_at, self.recall_at))
        shown = np.isfinite(values) & (self.n_train[users, None] > 0)
        hits = self._hits(users, best) & shown
        measures = self._of_hits(users, hits)
        best, shown, hits = (part[:, : self.recall_at] for part in (best, shown, hits))
        return measures | self._of_lists(best, shown), best[shown], best[hits]

    def _hits(self, users: np.ndarray, best: np.ndarray) -> np.ndarray:
        """Which of the items (n, depth) are relevant for their user."""
        if not len(self.pairs):
            return np.zeros(best.shape, bool)
        pairs = users[:, None] * self.train.n_items + best
        places = np.minimum(np.searchsorted(self.pairs, pairs), len(self.pairs) - 1)
        return self.pairs[places] == pairs

    def _of_hits(self, users: np.ndarray, hits: np.ndarray) -> dict[str, np.ndarray]:
        """The measures of where relevant items stand."""
        ranks = np.arange(1, max(self.ndcg_at, self.recall_at) + 1)
        discounts = 1 / np.log2(ranks + 1)
        ideal = np.cumsum(discounts)
        n, top = np.maximum(self.n_relevant[users], 1), hits[:, : self.ndcg_at]
        ranks, discounts = ranks[: top.shape[1]], discounts[: top.shape[1]]
        measured = (self.n_relevant[users] > 0) & (self.n_train[users] > 0)
        measures = {
            "ndcg": (top * discounts).sum(axis=1) / ideal[np.minimum(n, self.ndcg_at) - 1],
            "recall": hits[:, : self.recall_at].sum(axis=1) / n,
            "map": (top * np.cumsum(top, axis=1) / ranks).sum(axis=1) / n,
            "mrr": (top / ranks).max(axis=1, initial=0),
            "hit_rate": top.any(axis=1),
        }
        return {name: np.where(measured, values, np.nan) for name, values in measures.items()}

    def _of_lists(self, best: np.ndarray, shown: np.ndarray) -> dict[str, np.ndarray]:
        """The measures of what is in the lists, relevant or not."""
        length = shown.sum(axis=1)
        novelty = np.where(shown, self.surprise[best], 0).sum(axis=1) / np.maximum(length, 1)
        # Of unit vectors, the sum over all pairs of their products is |sum of the vectors|^2.
        total = np.einsum("bk,bkf->bf", shown.astype(np.float32), self.unit[best])
        with_itself = np.where(shown, self.squares[best], 0).sum(axis=1)
        n_pairs = np.maximum(length * (length - 1), 1)
        similarity = ((total**2).sum(axis=1) - with_itself) / n_pairs
        return {
            "novelty": np.where(length > 0, novelty, np.nan),
            "similarity": np.where(length > 1, similarity, np.nan),
        }
