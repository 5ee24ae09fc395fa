"""How good similar items are for users who go from one liked item to the next. Needs NumPy alone.

A user liked an item, and the next item that the user liked was held out: how often is the second
one among the first K neighbours of the first? The first PAIRS such pairs of a user count.

This is written again here, not imported from the job, which it judges from outside.
"""

import numpy as np

from cofi_jobs.core.ratings import Ratings

K, PAIRS = 20, 5


def pairs(known: Ratings, held_out: Ratings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User, liked item and the next one, which was held out (n_pairs,) each.

    Both parts have liked ratings only, by user, each user's newest last.
    """
    user = np.concatenate([known.user_index, held_out.user_index])
    item = np.concatenate([known.item_index, held_out.item_index])
    is_held_out = np.arange(len(user)) >= len(known.user_index)
    order = np.argsort(user, kind="stable")
    user, item, is_held_out = user[order], item[order], is_held_out[order]
    second = 1 + np.flatnonzero((user[1:] == user[:-1]) & is_held_out[1:])
    _, start, counts = np.unique(user[second], return_index=True, return_counts=True)
    number = np.arange(len(second)) - np.repeat(start, counts)
    second = second[number < PAIRS]
    return user[second], item[second - 1], item[second]


def hit_rate(neighbours: np.ndarray, known: Ratings, held_out: Ratings) -> float:
    """The mean over users of their share of hits; `neighbours` is (n_items, K), -1 for none."""
    user, item, next_item = pairs(known, held_out)
    hits = (neighbours[item] == next_item[:, None]).any(axis=1)
    n_pairs = np.bincount(user)
    n_hits = np.bincount(user, hits)
    return float((n_hits[n_pairs > 0] / n_pairs[n_pairs > 0]).mean())
