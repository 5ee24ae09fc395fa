"""Damped mean ratings of items, by which ratings are mean-normalised."""

import numpy as np

from cofi_jobs.core.arrays import tally
from cofi_jobs.core.ratings import Ratings


def damped_means(counts: np.ndarray, sums: np.ndarray, damping: float) -> np.ndarray:
    """Mean rating of each item, (sum + damping * global mean) / (count + damping), float32.

    `counts` and `sums` (n_items,) are of each item's ratings. With `damping` it is as if each item
    had that many more ratings at the global mean; 0 gives plain means. An item without ratings gets
    the global mean.
    """
    global_mean = sums.sum() / counts.sum()
    weight = counts + damping
    means = np.full(len(counts), global_mean)
    np.divide(sums + damping * global_mean, weight, out=means, where=weight > 0)
    return means.astype(np.float32)


def item_means(ratings: Ratings, damping: float) -> np.ndarray:
    """Damped mean of each item over these ratings alone, weighted by trust."""
    item, n_items, rating = ratings.item_index, ratings.n_items, ratings.rating
    if ratings.trust is not None:
        rating = rating * ratings.trust[ratings.user_index]
    return damped_means(ratings.trusted_counts(), tally(item, n_items, rating), damping)


def mean_normalised(ratings: Ratings, means: np.ndarray) -> np.ndarray:
    """Each rating less the mean of its item (n_ratings,); `means` (n_items,)."""
    result: np.ndarray = ratings.rating - means[ratings.item_index]
    return result
