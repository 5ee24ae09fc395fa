"""The current ratings of a store on the machines of an engine, for normalize.

The rows of all batches are sorted into ranges of neighbouring user ids, of about a million rows
each. A range has all rows of its users, so its current ratings need no other range. What is left
for this machine are the sums of items, and to write the rows of one range after the other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from cofi_jobs.core.feedback import Feedback
from cofi_jobs.engine.flow import Flow
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import parquet, sql
from cofi_jobs.store.current_ratings import (
    ROW_BITS,
    RowCounts,
    check_rows,
    drop_outside,
    drop_withdrawn,
    load_newest_of,
)
from cofi_jobs.store.event_sums import Times, joined_times, load_sums_of, times_of
from cofi_jobs.store.open import open_store
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import normalized_rows
from cofi_jobs.tasks.normalized_rows import Span
from cofi_jobs.tasks.run_split import open_at

ROWS_AT_ONCE = 1 << 20
SAMPLE = 1000  # user ids of a slice, by which the ranges are chosen
ADDED_AT_ONCE = 16  # tables of item sums

COLUMNS = ["user_id", "item_id", "rating", "timestamp"]


class CurrentOnEngine:
    """As `normalize.Current`."""

    def __init__(
        self,
        flow: Flow,
        connection: duckdb.DuckDBPyConnection,
        store: Store,
        parts: dict[Path, int],
        settings: Settings,
        feedback: Feedback,
        scale: tuple[float, float] | None,
    ) -> None:
        self.flow, self.connection, self.feedback = flow, connection, feedback
        self.settings = settings.model_copy(update={"threads": 1})  # of each call
        ranges = _rows_in_ranges(flow, store, parts)
        times: Times = None
        if feedback == "events" and settings.event_half_life_days is not None:
            calls = [flow.call(times_of_range, self.settings, *pieces) for pieces in ranges]
            times = joined_times(map(flow.get, calls))
        common = self.settings, feedback, times, scale
        results = [flow.call_for(3, newest_of_range, *common, *pieces) for pieces in ranges]
        self.newest, self.sums, places = map(list, zip(*results, strict=True))
        summaries: list[RangeSummary] = [flow.get(place) for place in places]
        self.first_users = [0, *accumulate(summary.n_users for summary in summaries)]
        self.n_users = self.first_users.pop()
        self.rows = reduce(RowCounts.__add__, [summary.rows for summary in summaries])
        self.n_outside = sum(summary.n_outside for summary in summaries)
        self.n_ratings = sum(summary.n_ratings for summary in summaries)
        self.span = reduce(Span.__or__, [summary.span for summary in summaries])

    def item_sums(self) -> str:
        """As in `Current`."""
        return self._added("item_sums", self.sums)

    def lesser_item_sums(self) -> str:
        """As in `Current`."""
        calls = self._each(lesser_of_range, self.feedback, self.span)
        return self._added("lesser_item_sums", calls)

    def write_users(self, path: Path) -> None:
        """As in `Current`."""
        self._write(self._each(users_of_range, self.span), path)

    def write_ratings(self, path: Path) -> None:
        """As in `Current`."""
        items = self.connection.sql("FROM items JOIN means USING (item_index)").to_arrow_table()
        self._write(self._each(ratings_of_range, self.flow.share(items)), path)

    def _each(self, function: Callable[..., pa.Table], *common: Any) -> list[Any]:
        """The function's result of each range, by its first user and its newest ratings."""
        return [
            self.flow.call(function, self.settings, *common, first, newest)
            for first, newest in zip(self.first_users, self.newest, strict=True)
        ]

    def _added(self, name: str, sums: list[Any]) -> str:
        """Make a table of this name of the added item sums; the table in SQL."""
        while len(sums) > 1:
            groups = [sums[i : i + ADDED_AT_ONCE] for i in range(0, len(sums), ADDED_AT_ONCE)]
            sums = [self.flow.call(add_item_sums, self.settings, *group) for group in groups]
        self.connection.register(name, self.flow.get(sums[0]))
        return f"FROM {name}"

    def _write(self, tables: Iterable[Any], path: Path) -> None:
        parquet.write_tables(map(self.flow.get, tables), path, sql.ROW_GROUP)


def _rows_in_ranges(flow: Flow, store: Store, parts: dict[Path, int]) -> list[tuple[Any, ...]]:
    """The pieces that each range of users has of each slice of these files, in order of arrival."""
    check_rows(parts)
    slices = list(_slices(store, parts))
    samples = [flow.call(sample_user_ids, store.location, part) for part in slices]
    n_ranges = -(-sum(parts.values()) // ROWS_AT_ONCE)
    bounds = range_bounds(np.concatenate([flow.get(sample) for sample in samples]), n_ranges)
    shared = flow.share(bounds)
    pieces = [
        flow.call_for(len(bounds) + 1, in_ranges, store.location, part, shared) for part in slices
    ]
    return list(zip(*pieces, strict=True))


@dataclass(frozen=True)
class Slice:
    """Neighbouring row groups of one file of ratings."""

    name: str  # of the file, below the root of the store
    row_groups: list[int]
    first_arrival: int  # of its first row; that of each next row is one more

    def read(self, location: str, columns: Sequence[str]) -> pa.Table:
        """Columns of the rows, on any machine."""
        file = open_at(*open_store(location).file_for_readers(self.name))
        return file.read_row_groups(self.row_groups, columns=[*columns])


def _slices(store: Store, parts: dict[Path, int]) -> Iterator[Slice]:
    """All rows of these files in slices of about ROWS_AT_ONCE."""
    for place, path in enumerate(parts):
        name, metadata = path.relative_to(store.root).as_posix(), parquet.read_metadata(path)
        groups, first, end = list[int](), 0, 0
        for group in range(metadata.num_row_groups):
            groups.append(group)
            end += metadata.row_group(group).num_rows
            if end - first >= ROWS_AT_ONCE or group == metadata.num_row_groups - 1:
                yield Slice(name, groups, (place << ROW_BITS) + first)
                groups, first = [], end


@dataclass(frozen=True)
class RangeSummary:
    """What became of the rows of a range, and its size."""

    rows: RowCounts
    n_outside: int
    n_ratings: int
    n_users: int
    span: Span


# ---- what the machines of the engine compute


def sample_user_ids(location: str, part: Slice) -> np.ndarray:
    """The user ids of some rows of a slice, which are spread over its first row group."""
    ids = Slice(part.name, part.row_groups[:1], 0).read(location, ["user_id"])["user_id"]
    rows = np.linspace(0, len(ids) - 1, min(SAMPLE, len(ids))).astype(int)
    return np.asarray(ids.take(pa.array(rows)).to_numpy())


def range_bounds(user_ids: np.ndarray, n: int) -> np.ndarray:
    """The first ids of all ranges but the first: at most n ranges with as many of these ids."""
    ordered = np.sort(user_ids)
    return np.unique(ordered[len(ordered) * np.arange(1, n) // n])


def in_ranges(location: str, part: Slice, bounds: np.ndarray) -> list[pa.Table]:
    """The rows of a slice that are in each range, with their `arrival`."""
    rows = part.read(location, COLUMNS)
    arrival = part.first_arrival + np.arange(len(rows))
    rows = rows.append_column("arrival", pa.array(arrival))
    ids = rows["user_id"].combine_chunks().dictionary_encode()
    distinct = ids.dictionary.to_numpy(zero_copy_only=False)
    range_of_row = np.searchsorted(bounds, distinct, side="right")[ids.indices.to_numpy()]
    order = np.argsort(range_of_row, kind="stable")
    ends = np.searchsorted(range_of_row[order], np.arange(len(bounds) + 1), side="right")
    starts = [0, *ends[:-1]]
    # A copy of each: a slice of Arrow would take all rows with it.
    return [rows.take(order[start:end]) for start, end in zip(starts, ends, strict=True)]


def times_of_range(settings: Settings, *pieces: pa.Table) -> Times:
    """When the oldest and the newest current event of a range was."""
    with _database(settings) as connection:
        return times_of(connection, _joined(pieces))


def newest_of_range(
    settings: Settings,
    feedback: Feedback,
    times: Times,
    scale: tuple[float, float] | None,
    *pieces: pa.Table,
) -> tuple[pa.Table, pa.Table, RangeSummary]:
    """The current ratings of a range, its item sums, and its summary.

    `times` are those of all ranges, for events with a half-life.
    """
    with _database(settings) as connection:
        if feedback == "events":
            half_life = settings.event_half_life_days
            rows = load_sums_of(connection, _joined(pieces), half_life, times)
        else:
            rows = load_newest_of(connection, _joined(pieces))
        n_outside = drop_outside(connection, *scale) if scale else 0
        n_ratings = drop_withdrawn(connection)
        newest = connection.sql("SELECT * EXCLUDE (arrival) FROM newest").to_arrow_table()
        sums = connection.sql(normalized_rows.item_sums(feedback)).to_arrow_table()
        n_users = normalized_rows.number_users(connection)
        span = normalized_rows.span(connection)
    return newest, sums, RangeSummary(rows, n_outside, n_ratings, n_users, span)


def _joined(pieces: Sequence[pa.Table]) -> pa.Table:
    # DuckDB says of some columns of some files that they have no nulls.
    return pa.concat_tables(pieces, promote_options="permissive")


def add_item_sums(settings: Settings, *tables: pa.Table) -> pa.Table:
    """Item sums of several ranges, added up."""
    with _database(settings) as connection:
        connection.register("tables", pa.concat_tables(tables))
        return connection.sql("""
            SELECT item_id, sum(n_ratings)::BIGINT AS n_ratings, sum(total) AS total
            FROM tables GROUP BY item_id""").to_arrow_table()


def lesser_of_range(
    settings: Settings, feedback: Feedback, span_of_all: Span, first_user: int, newest: pa.Table
) -> pa.Table:
    """Item sums of a range, of the ratings by users who are not fully trusted."""
    with _with_users(settings, newest, first_user, span_of_all) as connection:
        return connection.sql(normalized_rows.lesser_item_sums(feedback)).to_arrow_table()


def users_of_range(
    settings: Settings, span_of_all: Span, first_user: int, newest: pa.Table
) -> pa.Table:
    """The users of a range as the table `normalized` has them."""
    with _with_users(settings, newest, first_user, span_of_all) as connection:
        return connection.sql(normalized_rows.USERS).to_arrow_table()


def ratings_of_range(
    settings: Settings, items: pa.Table, first_user: int, newest: pa.Table
) -> pa.Table:
    """The ratings of a range as the table `normalized` has them."""
    with _database(settings) as connection:
        connection.register("newest", newest)
        connection.register("items", items.drop_columns("mean"))
        connection.register("means", items.select(["item_index", "mean"]))
        normalized_rows.number_users(connection, first_user)
        return connection.sql(normalized_rows.RATINGS).to_arrow_table()


@contextmanager
def _with_users(
    settings: Settings, newest: pa.Table, first_user: int, span_of_all: Span
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the tables `newest`, `users` and `trust`."""
    with _database(settings) as connection:
        connection.register("newest", newest)
        normalized_rows.number_users(connection, first_user)
        normalized_rows.trust_users(connection, settings, span_of_all)
        yield connection


@contextmanager
def _database(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database that spills to this machine's temporary folder."""
    with TemporaryDirectory() as folder, sql.connect(settings, Path(folder)) as connection:
        yield connection
