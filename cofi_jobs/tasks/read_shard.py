"""How a worker of train gets its ratings: it reads those of its users from the store itself.

This module imports nothing heavy: a worker imports TensorFlow through it, quietly.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cofi_jobs.core.errors import StoreError
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.split import holdout_mask
from cofi_jobs.model.start import start_tensorflow
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import parquet
from cofi_jobs.store.open import open_store
from cofi_jobs.store.run_tables import RatingRows, newest_time, read_some_ratings
from cofi_jobs.store.store import Store

if TYPE_CHECKING:
    from cofi_jobs.model.sharded import UserShard


def read_shard(
    location: str, run_key: str, settings: Settings, scale: Scale | None, part: RatingRows
) -> "UserShard":
    """The worker with the ratings of some users of a run of the store at a location."""
    start_tensorflow(settings.device)
    from cofi_jobs.model.sharded import UserShard

    return UserShard(*read_part(open_store(location), run_key, settings, part), scale)


def read_part(
    store: Store, run_key: str, settings: Settings, part: RatingRows
) -> tuple[Ratings, np.ndarray]:
    """As `holdout.read_split`, of some users."""
    file, users = (
        _open(store, run_key, f"normalized/{name}.parquet") for name in ("ratings", "users")
    )
    ratings = read_some_ratings(file, users, part)
    time = draws = newest = None
    if settings.test_days is not None:
        newest = newest_time(file)
        time = parquet.read_rows(file, ["timestamp"], part.rows)["timestamp"]
        time = time.cast("timestamp[us]").to_numpy()
    if "draw" in file.schema_arrow.names:
        draws = parquet.read_rows(file, ["draw"], part.rows)["draw"].to_numpy()
    return ratings, holdout_mask(ratings, time, settings, draws, newest)


def _open(store: Store, run_key: str, name: str) -> parquet.ParquetFile:
    path, filesystem = store.location_for_readers(run_key, name)
    try:
        return parquet.open_file(filesystem.open(path) if filesystem else Path(path))
    except FileNotFoundError:
        raise StoreError(
            f"a worker found no file {path}; expected a store that every machine of the Ray "
            "cluster reaches: a shared folder or a bucket"
        ) from None
