"""Train and test ratings of a run, read some users at a time, on any machine of the engine."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import Statistics

from cofi_jobs.core.errors import StoreError
from cofi_jobs.core.factors import row_numbers
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation import overlap
from cofi_jobs.evaluation.split import holdout_mask
from cofi_jobs.model.chunks import RATINGS_AT_ONCE
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import from_record
from cofi_jobs.store import parquet
from cofi_jobs.store.open import open_store
from cofi_jobs.store.run_tables import (
    newest_time,
    ratings_of_users,
    read_some_ratings,
    rows_of_users,
)
from cofi_jobs.store.store import Store

MOST_USERS = 1 << 16  # in a block of ratings

Open = Callable[[str], parquet.ParquetFile]  # by name, such as "ratings"


@dataclass(frozen=True)
class RunSplit:
    """The table `normalized` of a run, and how its ratings were split."""

    open_file: Open
    settings: Settings  # those of the split
    n_users: int
    n_items: int

    @classmethod
    def of(cls, store: Store, run_key: str, settings: Settings, engine: str) -> "RunSplit":
        """As `train` split with these settings; `engine` says where it is read (`files_of`)."""
        normalized = store.checked_table(run_key, "normalized")
        sizes = (
            parquet.read_metadata(normalized / f"{side}.parquet").num_rows
            for side in ("users", "items")
        )
        return cls(files_of(store, run_key, engine), settings, *sizes)

    def read(self, users: slice) -> tuple[Ratings, np.ndarray]:
        """The ratings of some users, whose numbers start at 0; the mask of their test ratings."""
        return read_part(self.open_file, self.settings, users, self.n_items)

    def read_ids(self, users: slice) -> pa.ChunkedArray:
        """The ids of some users."""
        return parquet.read_rows(self.open_file("users"), ["user_id"], users)["user_id"]


def blocks_of(normalized: Path) -> list[slice]:
    """All users of a run in neighbouring blocks, of about `RATINGS_AT_ONCE` ratings at most.

    And of at most `MOST_USERS` users.
    """
    n_ratings = parquet.read_metadata(normalized / "ratings.parquet").num_rows
    with parquet.open_file(normalized / "users.parquet") as users:
        parts = parts_of_users(users, -(-n_ratings // RATINGS_AT_ONCE))
    return [
        slice(start, min(start + MOST_USERS, part.stop))
        for part in parts
        for start in range(part.start, part.stop, MOST_USERS)
    ]


def parts_of_users(users: parquet.ParquetFile, n: int) -> list[slice]:
    """At most n parts of neighbouring users with about as many ratings; all users are in one.

    The file has a row for each user. It is read a row group at a time, twice.
    """
    first_users, first_ratings = [0], [0]  # of each row group, and behind the last
    for counts in ratings_of_users(users):
        first_users.append(first_users[-1] + len(counts))
        first_ratings.append(first_ratings[-1] + int(counts.sum()))
    inner = np.arange(1, n) * (first_ratings[-1] / n)
    bounds = [0]
    for counts, first_user, ratings in zip(
        ratings_of_users(users), first_users, first_ratings, strict=False
    ):
        ends = ratings + np.cumsum(counts)
        here = inner[(inner > ratings) & (inner <= ends[-1])]
        bounds += (first_user + np.searchsorted(ends, here)).tolist()
    bounds.append(first_users[-1])
    return [slice(start, end) for start, end in pairwise(bounds) if end > start]


@dataclass(frozen=True)
class EarlierSplit:
    """What the holdout model of an earlier run learned from."""

    split: RunSplit  # of that run
    # The rows in that run of some users of today, by their row numbers; -1: it did not have them.
    users: Callable[[slice], np.ndarray]
    items: np.ndarray  # (n_items of that run,) row today of each of its items, -1: gone

    @classmethod
    def of(
        cls,
        store: Store,
        run_key: str,
        users: Callable[[slice], np.ndarray],
        items: np.ndarray,
        engine: str,
    ) -> "EarlierSplit":
        """That of a run; the other arguments are those of this class and of `RunSplit.of`."""
        settings = from_record(store.required_outcome(run_key, "train")["settings"])
        return cls(RunSplit.of(store, run_key, settings, engine), users, items)

    def learned_from(self, users: slice, test: Ratings) -> np.ndarray:
        """Mask of test ratings of today whose (user, item) the model has seen.

        `test` are those of some users of today, whose numbers start at 0.
        """
        return self.learned_from_rows(self.users(users), test)

    def learned_from_rows(self, before: np.ndarray, test: Ratings) -> np.ndarray:
        """The same by the rows `before` of these users in that run."""
        known = before[before >= 0]
        if not len(known):
            return np.zeros(len(test.rating), bool)
        # Both runs have users in the order of their ids, so theirs are neighbours there, too.
        there = slice(int(known.min()), int(known.max()) + 1)
        rows = np.where(before >= 0, before - there.start, -1)
        return overlap.learned_from(rows, self.items, *self.split.read(there), test)


@dataclass(frozen=True)
class EarlierUsers:
    """Finds users of a run in an earlier one, by their ids."""

    now: Open
    before: Open

    def rows(self, users: slice) -> np.ndarray:
        """The rows in the earlier run of some users, by their row numbers; -1: not there."""
        ids = parquet.read_rows(self.now("users"), ["user_id"], users)["user_id"].combine_chunks()
        rows, first = np.full(len(ids), -1, np.int64), 0
        ends, file = pc.min_max(ids).as_py(), self.before("users")
        column = file.schema_arrow.names.index("user_id")
        for number in range(file.num_row_groups):
            if _may_share(ends, file.metadata.row_group(number).column(column).statistics):
                group = file.read_row_group(number, columns=["user_id"])["user_id"]
                there = row_numbers(ids, group.combine_chunks())
                rows = np.where(there >= 0, there + first, rows)
            first += file.metadata.row_group(number).num_rows
        return rows


def _may_share(ends: Mapping[str, Any], bounds: Statistics | None) -> bool:
    """Whether a row group with these bounds may hold ids between `ends`; it may have no bounds."""
    if bounds is None or not bounds.has_min_max or ends["min"] is None:
        return True
    return bool(bounds.min <= ends["max"] and ends["min"] <= bounds.max)


def files_of(store: Store, run_key: str, engine: str, table: str = "normalized") -> Open:
    """Opens files of a table of a run: here, or with another engine on any machine."""
    if engine == "local":
        return functools.partial(_open_here, store.table(run_key, table))
    return functools.partial(open_anywhere, store.location, run_key, table)


def _open_here(folder: Path, name: str) -> parquet.ParquetFile:
    return parquet.open_file(folder / f"{name}.parquet")


def open_anywhere(location: str, run_key: str, table: str, name: str) -> parquet.ParquetFile:
    """A file of a table of a run of the store at a location."""
    return open_at(*open_store(location).location_for_readers(run_key, f"{table}/{name}.parquet"))


def open_at(path: str, filesystem: Any) -> parquet.ParquetFile:
    """A file where a store says that it is. Raises StoreError if this machine has no such file."""
    try:
        return parquet.open_file(filesystem.open(path) if filesystem else Path(path))
    except FileNotFoundError:
        raise StoreError(
            f"a worker found no file {path}; expected a store that every machine of the Ray "
            "cluster reaches: a shared folder or a bucket"
        ) from None


def read_part(
    open_file: Open, settings: Settings, users: slice, n_items: int
) -> tuple[Ratings, np.ndarray]:
    """As `holdout.read_split`, of some users."""
    file = open_file("ratings")
    rows = rows_of_users(file, users)
    ratings = read_some_ratings(file, open_file("users"), users, rows, n_items)
    time = draws = newest = None
    if settings.test_days is not None:
        newest = newest_time(file)
        time = parquet.read_rows(file, ["timestamp"], rows)["timestamp"]
        time = time.cast("timestamp[us]").to_numpy()
    if "draw" in file.schema_arrow.names:
        draws = parquet.read_rows(file, ["draw"], rows)["draw"].to_numpy()
    return ratings, holdout_mask(ratings, time, settings, draws, newest)
