"""Tables of a run as the types that other rooms compute with."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.core.factors import Factors, StoredModel
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.store.vectors import from_column


def read_ratings(normalized: Path) -> Ratings:
    """All current ratings of a run, by user, each user's newest last."""
    sizes = (
        pq.read_metadata(normalized / f"{side}.parquet").num_rows for side in ("users", "items")
    )
    table = pq.read_table(
        normalized / "ratings.parquet", columns=["user_index", "item_index", "rating"]
    )
    return Ratings(*(column.to_numpy() for column in table.columns), *sizes)


def read_times(normalized: Path) -> np.ndarray:
    """When each of these ratings was given, datetime64; NaT where that is unknown."""
    time = pq.read_table(normalized / "ratings.parquet", columns=["timestamp"])["timestamp"]
    return time.cast("timestamp[us]").to_numpy()


def has_model(folder: Path) -> bool:
    """Whether `train` has written a model there."""
    return (folder / "user_factors.parquet").exists()


def read_model(folder: Path) -> StoredModel:
    """A final or a holdout model of a run."""
    return stored_model(
        *(pq.read_table(folder / f"{side}_factors.parquet") for side in ("user", "item"))
    )


def stored_model(users: pa.Table, items: pa.Table) -> StoredModel:
    """The models whose rows for users and for items are in these tables."""
    bias = users["bias"].to_numpy()
    rating, ranking = (
        Factors(from_column(items[column]), from_column(users[column]), b)
        for column, b in (("rating_factors", bias), ("ranking_factors", np.zeros_like(bias)))
    )
    user_id, item_id = users["user_id"].combine_chunks(), items["item_id"].combine_chunks()
    return StoredModel(user_id, item_id, rating, ranking, items["mean"].to_numpy())
