"""Train and test ratings of a run, read some users at a time, on any machine of the engine."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cofi_jobs.core.arrays import tally
from cofi_jobs.core.errors import StoreError
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation import overlap
from cofi_jobs.evaluation.split import holdout_mask
from cofi_jobs.model.chunks import chunks
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import from_record
from cofi_jobs.store import parquet
from cofi_jobs.store.open import open_store
from cofi_jobs.store.run_tables import (
    RatingRows,
    n_ratings_of_users,
    newest_time,
    read_some_ratings,
)
from cofi_jobs.store.store import Store

RATINGS_AT_ONCE = 1 << 20

Open = Callable[[str], parquet.ParquetFile]  # by name, such as "ratings"


@dataclass(frozen=True)
class RunSplit:
    """The table `normalized` of a run, and how its ratings were split."""

    open_file: Open
    settings: Settings  # those of the split
    first_rows: np.ndarray  # (n_users + 1,) where each user's ratings begin
    n_items: int

    @classmethod
    def of(cls, store: Store, run_key: str, settings: Settings, engine: str) -> "RunSplit":
        """As `train` split with these settings; `engine` says where it is read (`files_of`)."""
        normalized = store.checked_table(run_key, "normalized")
        n_items = parquet.read_metadata(normalized / "items.parquet").num_rows
        first_rows = np.append(0, np.cumsum(n_ratings_of_users(normalized)))
        return cls(files_of(store, run_key, engine), settings, first_rows, n_items)

    @property
    def n_users(self) -> int:
        """How many users the run has."""
        return len(self.first_rows) - 1

    def read(self, users: slice) -> tuple[Ratings, np.ndarray]:
        """The ratings of some users, whose numbers start at 0; the mask of their test ratings."""
        rows = slice(int(self.first_rows[users.start]), int(self.first_rows[users.stop]))
        return read_part(self.open_file, self.settings, RatingRows(users, rows, self.n_items))

    def blocks(self) -> list[slice]:
        """All users in neighbouring blocks, of about `RATINGS_AT_ONCE` ratings."""
        return _blocks(np.diff(self.first_rows))


def _blocks(counts: np.ndarray) -> list[slice]:
    """Users with `counts` ratings in blocks, as `RunSplit.blocks`."""
    return chunks(counts, -(-int(counts.sum()) // RATINGS_AT_ONCE))


@dataclass(frozen=True)
class EarlierSplit:
    """What the holdout model of an earlier run learned from."""

    split: RunSplit  # of that run
    users: np.ndarray  # (n_users,) row in that run of each user of today, -1: it did not have them
    items: np.ndarray  # (n_items of that run,) row today of each of its items, -1: gone

    @classmethod
    def of(
        cls, store: Store, run_key: str, users: np.ndarray, items: np.ndarray, engine: str
    ) -> "EarlierSplit":
        """That of a run; the other arguments are those of this class and of `RunSplit.of`."""
        settings = from_record(store.required_outcome(run_key, "train")["settings"])
        return cls(RunSplit.of(store, run_key, settings, engine), users, items)

    def learned_from(self, users: slice, test: Ratings) -> np.ndarray:
        """Mask of test ratings of today whose (user, item) the model has seen.

        `test` are those of some users of today, whose numbers start at 0.
        """
        before = self.users[users]
        known = before[before >= 0]
        if not len(known):
            return np.zeros(len(test.rating), bool)
        # Both runs have users in the order of their ids, so theirs are neighbours there, too.
        there = slice(int(known.min()), int(known.max()) + 1)
        rows = np.where(before >= 0, before - there.start, -1)
        return overlap.learned_from(rows, self.items, *self.split.read(there), test)

    def learned_from_all(self, test: Ratings) -> np.ndarray:
        """As `learned_from`, of all users."""
        counts_before = np.where(self.users >= 0, np.diff(self.split.first_rows)[self.users], 0)
        first_rows = np.append(0, np.cumsum(tally(test.user_index, test.n_users)))
        seen = np.zeros(len(test.rating), bool)
        for users in _blocks(counts_before):
            rows = slice(first_rows[users.start], first_rows[users.stop])
            of_block = Ratings(
                test.user_index[rows] - np.int32(users.start),
                test.item_index[rows],
                test.rating[rows],
                users.stop - users.start,
                test.n_items,
            )
            seen[rows] = self.learned_from(users, of_block)
        return seen


def files_of(store: Store, run_key: str, engine: str) -> Open:
    """Opens files of the table `normalized`: here, or with another engine on any machine."""
    if engine == "local":
        return functools.partial(_open_here, store.table(run_key, "normalized"))
    return functools.partial(open_anywhere, store.location, run_key)


def _open_here(folder: Path, name: str) -> parquet.ParquetFile:
    return parquet.open_file(folder / f"{name}.parquet")


def open_anywhere(location: str, run_key: str, name: str) -> parquet.ParquetFile:
    """A file of the table `normalized` of a run of the store at a location."""
    return open_at(
        *open_store(location).location_for_readers(run_key, f"normalized/{name}.parquet")
    )


def open_at(path: str, filesystem: Any) -> parquet.ParquetFile:
    """A file where a store says that it is. Raises StoreError if this machine has no such file."""
    try:
        return parquet.open_file(filesystem.open(path) if filesystem else Path(path))
    except FileNotFoundError:
        raise StoreError(
            f"a worker found no file {path}; expected a store that every machine of the Ray "
            "cluster reaches: a shared folder or a bucket"
        ) from None


def read_part(open_file: Open, settings: Settings, part: RatingRows) -> tuple[Ratings, np.ndarray]:
    """As `holdout.read_split`, of some users."""
    file, users = open_file("ratings"), open_file("users")
    ratings = read_some_ratings(file, users, part)
    time = draws = newest = None
    if settings.test_days is not None:
        newest = newest_time(file)
        time = parquet.read_rows(file, ["timestamp"], part.rows)["timestamp"]
        time = time.cast("timestamp[us]").to_numpy()
    if "draw" in file.schema_arrow.names:
        draws = parquet.read_rows(file, ["draw"], part.rows)["draw"].to_numpy()
    return ratings, holdout_mask(ratings, time, settings, draws, newest)
