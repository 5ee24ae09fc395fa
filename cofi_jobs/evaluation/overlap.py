"""Which of today's test ratings an earlier holdout model has learned from."""

import numpy as np

from cofi_jobs.core.arrays import ranges, tally
from cofi_jobs.core.ratings import Ratings

MARKS = 1 << 24  # bytes, one for each pair of a user and an item of which two runs are compared


def learned_from(
    users_before: np.ndarray,
    items_now: np.ndarray,
    earlier_ratings: Ratings,
    earlier_test: np.ndarray,
    test: Ratings,
) -> np.ndarray:
    """Mask of the test ratings whose (user, item) an earlier holdout model learned from.

    `earlier_test` is the mask of the `earlier_ratings` that this model did not see.
    `users_before` (n_users,) says which row each user of `test` has in them, and `items_now`, of
    the items of the earlier run, which row each has in `test`; -1: none. Both sets of ratings are
    sorted by user.
    """
    counts = tally(earlier_ratings.user_index, earlier_ratings.n_users)
    first = np.cumsum(counts) - counts
    ends = np.cumsum(tally(test.user_index, test.n_users))
    seen = np.zeros(len(test.rating), bool)
    size = max(1, MARKS // test.n_items)
    for start in range(0, test.n_users, size):
        users = users_before[start : start + size]
        user, places = ranges(first[users], np.where(users >= 0, counts[users], 0))
        items = items_now[earlier_ratings.item_index[places]]
        trained = ~earlier_test[places] & (items >= 0)
        learned = user[trained].astype(np.int64) * test.n_items + items[trained]
        block = slice(ends[start - 1] if start else 0, ends[start + len(users) - 1])
        block_user = (test.user_index[block] - start).astype(np.int64)
        pairs = block_user * test.n_items + test.item_index[block]
        seen[block] = np.isin(pairs, learned, kind="table")
    return seen
