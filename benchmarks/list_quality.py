"""How good lists are for users who liked some of what was held out. Needs NumPy alone.

With h_r = 1 where the item at rank r is one that the user likes, of n that were held out:

- NDCG@10: sum over r <= 10 of h_r / log2(r + 1), over the most that n items allow
- Recall@20: hits among the first 20, over the most that n items allow, min(n, 20)

These are written again here, not imported from the job, which they judge from outside.
"""

from typing import NamedTuple

import numpy as np

from cofi_jobs.core.ratings import Ratings

NDCG_AT, RECALL_AT = 10, 20


class Quality(NamedTuple):
    """Means over the users who liked something that was held out."""

    ndcg: float
    recall: float


def quality(lists: np.ndarray, liked: Ratings) -> Quality:
    """Measure lists (n_users, RECALL_AT) of item rows, best first; -1 where nothing is listed."""
    n_liked = np.bincount(liked.user_index, minlength=len(lists))
    users = np.flatnonzero(n_liked)
    n, listed = n_liked[users], lists[users]
    pairs = users[:, None].astype(np.int64) * liked.n_items + listed
    liked_pairs = liked.user_index.astype(np.int64) * liked.n_items + liked.item_index
    hits = np.isin(pairs, liked_pairs) & (listed >= 0)
    discounts = 1 / np.log2(np.arange(2, NDCG_AT + 2))
    ndcg = hits[:, :NDCG_AT] @ discounts / np.cumsum(discounts)[np.minimum(n, NDCG_AT) - 1]
    recall = hits.sum(axis=1) / np.minimum(n, RECALL_AT)
    return Quality(float(ndcg.mean()), float(recall.mean()))
