"""The trial model: what `train` learned without the held-out ratings, with the ids of its rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cofi_jobs.core.arrays import ranges, tally
from cofi_jobs.core.factors import Factors, predict
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.split import held_out_mask, read_ratings
from cofi_jobs.store.store import Store
from cofi_jobs.store.vectors import from_column

MARKS = 1 << 24  # bytes, one for each pair of a user and an item of which two runs are compared


@dataclass(frozen=True)
class Trial:
    """A trial model with the ids of its rows, as `train` stored it."""

    user_id: pa.Array
    item_id: pa.Array
    rating: Factors
    ranking: Factors
    means: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> "Trial":
        """Read a folder of item and user factors."""
        users, items = (
            pq.read_table(folder / f"{side}_factors.parquet") for side in ("user", "item")
        )
        bias = users["bias"].to_numpy()
        rating, ranking = (
            Factors(from_column(items[column]), from_column(users[column]), b)
            for column, b in (("rating_factors", bias), ("ranking_factors", np.zeros_like(bias)))
        )
        user_id, item_id = users["user_id"].combine_chunks(), items["item_id"].combine_chunks()
        return cls(user_id, item_id, rating, ranking, items["mean"].to_numpy())

    def stars(self, user_index: np.ndarray, item_index: np.ndarray, scale: Scale) -> np.ndarray:
        """Predicted ratings of pairs, clipped to the scale."""
        return scale.clip(predict(self.rating, user_index, item_index) + self.means[item_index])


def kept_trial(store: Store, run_key: str) -> Trial | None:
    """The trial model of an earlier run, None if that kept none, as runs did before they were evaluated."""
    folder = store.table(run_key, "trial")
    return Trial.read(folder) if (folder / "user_factors.parquet").exists() else None


def row_numbers(ids: pa.Array, earlier: pa.Array) -> np.ndarray:
    """Each id's row number among the earlier ids, -1 for a new one."""
    return np.array(pc.index_in(ids, value_set=earlier).fill_null(-1), np.int64)


def learned_from(
    store: Store, last: str, earlier: Trial, user_id: pa.Array, item_id: pa.Array, held_out: Ratings
) -> np.ndarray:
    """Mask of the held-out ratings whose (user, item) the trial model of an earlier run learned from.

    `user_id` and `item_id` are those of the rows of `held_out`, which is sorted by user.
    """
    normalized = store.table(last, "normalized")
    ratings = read_ratings(normalized)
    hidden = held_out_mask(
        normalized, ratings.user_index, store.required_outcome(last, "train")["settings"]
    )
    counts = tally(ratings.user_index, ratings.n_users)
    first = np.cumsum(counts) - counts
    then, now = row_numbers(user_id, earlier.user_id), row_numbers(earlier.item_id, item_id)
    ends = np.cumsum(tally(held_out.user_index, held_out.n_users))
    saw = np.zeros(len(held_out.rating), bool)
    size = max(1, MARKS // held_out.n_items)
    for start in range(0, held_out.n_users, size):
        users = then[start : start + size]
        number, places = ranges(first[users], np.where(users >= 0, counts[users], 0))
        items = now[ratings.item_index[places]]
        kept = ~hidden[places] & (items >= 0)
        own = slice(ends[start - 1] if start else 0, ends[start + len(users) - 1])
        pairs = (held_out.user_index[own] - start).astype(
            np.int64
        ) * held_out.n_items + held_out.item_index[own]
        learned = number[kept].astype(np.int64) * held_out.n_items + items[kept]
        saw[own] = np.isin(pairs, learned, kind="table")
    return saw
