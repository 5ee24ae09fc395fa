"""Measures of a model on held-out ratings. Pure functions; the task and its gate come with a later version."""

from collections.abc import Callable

import numpy as np

from cofi_jobs.model import Ratings
from cofi_jobs.top_k import block_size, top_k_unrated

# Scores of a range of users for all items, (n, n_items).
Scores = Callable[[slice], np.ndarray]


def newest_of_each_user(user_index: np.ndarray, share: float) -> np.ndarray:
    """Mask of each user's last `share` of ratings, at least one, but never a user's only rating.

    `user_index` is sorted, and each user's ratings are in order of time.
    """
    counts = np.bincount(user_index)
    held_out = np.minimum(np.maximum(1, np.floor(counts * share)), counts - 1)
    ends = np.cumsum(counts)
    from_end = ends[user_index] - np.arange(len(user_index))
    return from_end <= held_out[user_index]


def rmse(predicted: np.ndarray, actual: np.ndarray) -> float | None:
    """Root of the mean squared error, in units of the rating; None if there is nothing to compare."""
    return float(np.sqrt(np.mean((predicted - actual) ** 2, dtype=np.float64))) if len(actual) else None


def ranking_metrics(
    scores: Scores, known: Ratings, wanted: Ratings, ndcg_at: int = 10, recall_at: int = 20
) -> dict[str, float | None]:
    """NDCG@10 and Recall@20 of ranking all items but the known ones, means over the users with a wanted item.

    NDCG has binary gains discounted by log2(rank + 1), divided by the best possible (Järvelin & Kekäläinen 2002).
    Recall is the share of the user's wanted items that are in the list. Both are None where no user wants
    anything.
    """
    n_wanted = np.bincount(wanted.user_index, minlength=known.n_users)
    served = n_wanted > 0
    if not served.any():
        return {f"ndcg@{ndcg_at}": None, f"recall@{recall_at}": None, "users": 0}
    keys = np.sort(wanted.user_index.astype(np.int64) * known.n_items + wanted.item_index)
    discounts = 1 / np.log2(np.arange(2, max(ndcg_at, recall_at) + 2))
    ideal = np.cumsum(discounts)
    ndcg, recall = np.zeros(known.n_users), np.zeros(known.n_users)
    for start in range(0, known.n_users, block_size(known.n_items)):
        users = slice(start, min(start + block_size(known.n_items), known.n_users))
        first, last = np.searchsorted(known.user_index, (users.start, users.stop))
        rows, items = known.user_index[first:last] - start, known.item_index[first:last]
        best, values = top_k_unrated(scores(users), rows, items, max(ndcg_at, recall_at))
        pairs = np.arange(users.start, users.stop)[:, None] * known.n_items + best
        hits = (keys[np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)] == pairs) & np.isfinite(values)
        n = n_wanted[users]
        depth = np.minimum(np.maximum(n, 1), ndcg_at) - 1
        ndcg[users] = (hits[:, :ndcg_at] * discounts[: hits[:, :ndcg_at].shape[1]]).sum(axis=1) / ideal[depth]
        recall[users] = hits[:, :recall_at].sum(axis=1) / np.maximum(n, 1)
    return {
        f"ndcg@{ndcg_at}": float(ndcg[served].mean()),
        f"recall@{recall_at}": float(recall[served].mean()),
        "users": int(served.sum()),
    }
