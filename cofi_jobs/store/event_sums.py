"""The current events of batches: the sum of the counts of each (user, item), by DuckDB.

Events of a pair add up over all batches. A row without a count withdraws the pair's events before
it: those with an earlier time, and those that arrived earlier with the same time. Events without a
time are the oldest.
"""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from cofi_jobs.store import sql
from cofi_jobs.store.current_ratings import STAGING, RowCounts, count_pairs, open_rows

# Rows of `taken`, and whether the pair's last withdrawal left them.
MARKED = """
    CREATE TEMP VIEW marked AS
    WITH placed AS (
        SELECT *, {'time': coalesce(timestamp, '-infinity'::TIMESTAMPTZ), 'arrival': arrival}
            AS place
        FROM taken
    ), last_withdrawals AS (
        SELECT user_id, item_id, max(place) AS withdrawn_until FROM placed
        WHERE rating IS NULL GROUP BY user_id, item_id
    )
    SELECT placed.*, withdrawn_until,
        rating IS NOT NULL AND (withdrawn_until IS NULL OR place > withdrawn_until) AS is_current
    FROM placed LEFT JOIN last_withdrawals USING (user_id, item_id)"""
# What later batches may still need: current events, and the last withdrawal of each pair.
KEPT_ROWS = """
    SELECT user_id, item_id, rating, timestamp FROM marked
    WHERE is_current OR place = withdrawn_until ORDER BY arrival"""

Times = tuple[float, float] | None  # seconds since 1970, oldest and newest; None: there are none


def mark_current(connection: duckdb.DuckDBPyConnection, parts: dict[Path, int]) -> int:
    """Make the view `marked` of all rows; returns their number.

    `parts` gives the files in order of arrival, and the rows that each must have. Raises StoreError
    if a file has another number of rows.
    """
    n_rows = open_rows(connection, parts)
    connection.execute(MARKED)
    return n_rows


def load_sums(
    connection: duckdb.DuckDBPyConnection, parts: dict[Path, int], half_life_days: float | None
) -> RowCounts:
    """Make the table `newest` as `current_ratings.load_newest` does; `rating` has the sums.

    The time of a pair is that of its newest event. With a half-life, a count is halved for each so
    many days that its event is older than the newest event of all; an event without a time is as
    old as the oldest. Withdrawn events are neither: compaction leaves them out.
    """
    n_rows = mark_current(connection, parts)
    times = None if half_life_days is None else _times(connection)
    return _add_up(connection, n_rows, half_life_days, times)


def load_sums_of(
    connection: duckdb.DuckDBPyConnection,
    rows: pa.Table,
    half_life_days: float | None,
    times_of_all: Times,
) -> RowCounts:
    """As `load_sums`, of all rows of some users, which are in memory, with their `arrival`.

    `times_of_all` are those of the rows of all users; they matter with a half-life alone.
    """
    _mark(connection, rows)
    return _add_up(connection, rows.num_rows, half_life_days, times_of_all)


def times_of(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> Times:
    """When the oldest and the newest current event of some users was, of all their rows."""
    _mark(connection, rows)
    return _times(connection)


def joined_times(of_each: Iterable[Times]) -> Times:
    """Those of several groups of users together."""
    timed = [times for times in of_each if times]
    return (min(t[0] for t in timed), max(t[1] for t in timed)) if timed else None


def _mark(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> None:
    connection.register("taken", rows)
    connection.execute(MARKED)


def _times(connection: duckdb.DuckDBPyConnection) -> Times:
    [(oldest, newest)] = connection.execute("""
        SELECT min(epoch(timestamp)), max(epoch(timestamp)) FROM marked
        WHERE is_current""").fetchall()
    return None if newest is None else (oldest, newest)


def _add_up(
    connection: duckdb.DuckDBPyConnection, n_rows: int, half_life_days: float | None, times: Times
) -> RowCounts:
    weight = "rating"
    if half_life_days is not None and times:
        oldest, newest = times
        days = f"({newest!r} - coalesce(epoch(timestamp), {oldest!r})) / 86400"
        weight = f"rating * pow(0.5, {days} / {half_life_days!r})"
    sql.attach(connection, STAGING)
    # Exact decimals: the order of adding must not show in the sums.
    connection.execute(f"""
        CREATE TABLE {STAGING}.newest AS
        SELECT user_id, item_id,
            (sum(({weight})::DECIMAL(38, 12)) FILTER (is_current))::FLOAT AS rating,
            max(timestamp) FILTER (is_current) AS timestamp,
            max(arrival) FILTER (is_current) AS arrival
        FROM marked GROUP BY user_id, item_id""")
    return count_pairs(connection, n_rows)
