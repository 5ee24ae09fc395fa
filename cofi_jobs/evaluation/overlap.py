"""Which of today's test ratings an earlier holdout model has learned from."""

import numpy as np
import pyarrow as pa

from cofi_jobs.core.arrays import ranges, tally
from cofi_jobs.core.factors import StoredModel, row_numbers
from cofi_jobs.core.ratings import Ratings

MARKS = 1 << 24  # bytes, one for each pair of a user and an item of which two runs are compared


def learned_from(
    earlier: StoredModel,
    earlier_ratings: Ratings,
    earlier_test: np.ndarray,
    user_id: pa.Array,
    item_id: pa.Array,
    test: Ratings,
) -> np.ndarray:
    """Mask of the test ratings whose (user, item) an earlier holdout model learned from.

    `earlier_test` is the mask of the `earlier_ratings` that this model did not see. `user_id` and
    `item_id` belong to the rows of `test`. Both sets of ratings are sorted by user.
    """
    counts = tally(earlier_ratings.user_index, earlier_ratings.n_users)
    first = np.cumsum(counts) - counts
    user_before = row_numbers(user_id, earlier.user_id)
    item_now = row_numbers(earlier.item_id, item_id)
    ends = np.cumsum(tally(test.user_index, test.n_users))
    seen = np.zeros(len(test.rating), bool)
    size = max(1, MARKS // test.n_items)
    for start in range(0, test.n_users, size):
        users = user_before[start : start + size]
        user, places = ranges(first[users], np.where(users >= 0, counts[users], 0))
        items = item_now[earlier_ratings.item_index[places]]
        trained = ~earlier_test[places] & (items >= 0)
        learned = user[trained].astype(np.int64) * test.n_items + items[trained]
        block = slice(ends[start - 1] if start else 0, ends[start + len(users) - 1])
        block_user = (test.user_index[block] - start).astype(np.int64)
        pairs = block_user * test.n_items + test.item_index[block]
        seen[block] = np.isin(pairs, learned, kind="table")
    return seen
