"""The current ratings of batches: the newest row of each (user, item), found by DuckDB.

The newest row is the one with the latest time; rows without a time are the oldest. Of rows with
equal times the one that arrived last counts. A row without a rating withdraws the pair's rating.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from cofi_jobs.core.errors import StoreError
from cofi_jobs.store import parquet, sql

# A database in a file for the newest rows: they are compressed there, and memory stays free.
STAGING = "staging"
# Share of rows whose pair has other rows. Below it, it is faster to find these rows first and to
# compare only them than to compare all rows.
FEW = 0.2

ROW_BITS = 40  # of `arrival`, for the place of a row in its file; the rest is the file's place

NEWEST = """QUALIFY row_number() OVER (
    PARTITION BY user_id, item_id ORDER BY timestamp DESC NULLS LAST, arrival DESC) = 1"""


@dataclass(frozen=True)
class RowCounts:
    """How many rows the batches have, and what became of them.

    Superseded is a row that another row of its pair replaced, or into which it was added up.
    """

    n_rows: int
    n_superseded: int
    n_withdrawn: int

    def __add__(self, other: "RowCounts") -> "RowCounts":
        """Those of other pairs' rows are added."""
        return RowCounts(
            self.n_rows + other.n_rows,
            self.n_superseded + other.n_superseded,
            self.n_withdrawn + other.n_withdrawn,
        )


def load_newest(
    connection: duckdb.DuckDBPyConnection, parts: dict[Path, int], memory_mb: int
) -> RowCounts:
    """Make the table `newest`: user_id, item_id, rating, timestamp, arrival; with withdrawals.

    `parts` gives the files in order of arrival, and the rows that each must have. Raises StoreError
    if a file has another number of rows.
    """
    n_rows = open_rows(connection, parts)
    repeated = _repeated(connection, n_rows, memory_mb * 1_000_000 // 2)
    few = len(repeated) < n_rows * FEW
    if few:
        connection.register("repeated", pa.table({"pair": repeated}))
    del repeated  # large ones would take the memory that the sort of all rows needs
    sql.attach(connection, STAGING)
    compared = "SEMI JOIN repeated USING (pair)" if few else ""
    connection.execute(f"""
        CREATE TABLE {STAGING}.newest AS SELECT * EXCLUDE (pair) FROM taken {compared} {NEWEST}""")
    if few:
        connection.execute(f"""
            INSERT INTO {STAGING}.newest
            SELECT * EXCLUDE (pair) FROM taken ANTI JOIN repeated USING (pair)""")
    return count_pairs(connection, n_rows)


def load_newest_of(connection: duckdb.DuckDBPyConnection, rows: pa.Table) -> RowCounts:
    """As `load_newest`, of all rows of some users, which are in memory, with their `arrival`."""
    connection.register("taken", rows)
    sql.attach(connection, STAGING)
    connection.execute(f"CREATE TABLE {STAGING}.newest AS FROM taken {NEWEST}")
    connection.unregister("taken")
    return count_pairs(connection, rows.num_rows)


def open_rows(connection: duckdb.DuckDBPyConnection, parts: dict[Path, int]) -> int:
    """Make the view `taken` of all rows; returns their number. Raises as `load_newest` does."""
    check_rows(parts)
    # `arrival` orders all rows: first by file, then by place in the file.
    connection.execute(f"""
        CREATE TEMP VIEW taken AS
        SELECT user_id, item_id, rating, timestamp,
            (file_index::BIGINT << {ROW_BITS}) + file_row_number AS arrival,
            hash(user_id, item_id) AS pair
        FROM {sql.parquet([*parts])}""")
    return sum(parts.values())


def count_pairs(connection: duckdb.DuckDBPyConnection, n_rows: int) -> RowCounts:
    """Count what became of all rows, and let `newest` name the table of the newest ones."""
    connection.execute(f"CREATE TEMP VIEW newest AS FROM {STAGING}.newest")
    [(n_pairs, n_withdrawn)] = connection.execute(
        "SELECT count(*), count(*) FILTER (rating IS NULL) FROM newest"
    ).fetchall()
    return RowCounts(n_rows, n_rows - n_pairs, n_withdrawn)


def drop_withdrawn(connection: duckdb.DuckDBPyConnection) -> int:
    """Leave only ratings in the table `newest`; returns how many."""
    connection.execute(f"DELETE FROM {STAGING}.newest WHERE rating IS NULL")
    [(n_ratings,)] = connection.execute("SELECT count(*) FROM newest").fetchall()
    return int(n_ratings)


def drop_outside(connection: duckdb.DuckDBPyConnection, low: float, high: float) -> int:
    """Drop ratings outside the scale from the table `newest`; returns how many.

    They were taken before the scale was corrected.
    """
    [(n_outside,)] = connection.execute(f"""
        DELETE FROM {STAGING}.newest
        WHERE rating NOT BETWEEN {low!r}::FLOAT AND {high!r}::FLOAT""").fetchall()
    return int(n_outside)


def check_rows(parts: dict[Path, int]) -> None:
    """Raise StoreError if a file does not have the rows that it must have."""
    for path, expected in parts.items():
        n_rows = parquet.read_metadata(path).num_rows if path.exists() else 0
        if n_rows != expected:
            raise StoreError(
                f"found {n_rows} rows in {path}, expected the {expected} that were put there"
            )


def _repeated(connection: duckdb.DuckDBPyConnection, n_rows: int, memory: int) -> np.ndarray:
    """Hashes (uint64) of pairs that several rows of `taken` have, and of pairs with equal hashes.

    Most pairs have one row. To find the others is to sort numbers, which takes a fraction of the
    time of sorting rows. `memory` is in bytes: the hashes are sorted in as many rounds as it takes.
    """
    rounds = -(-8 * n_rows // memory)
    repeated = [np.empty(0, np.uint64)]
    for number in range(rounds):
        hashes = np.empty(n_rows, np.uint64)
        n = 0
        for some in _hashes(connection, rounds, number):
            hashes[n : n + len(some)] = some
            n += len(some)
        hashes = hashes[:n]
        hashes.sort()
        repeated.append(hashes[1:][hashes[1:] == hashes[:-1]])
    return np.concatenate(repeated)


def _hashes(
    connection: duckdb.DuckDBPyConnection, rounds: int, number: int
) -> Iterator[np.ndarray]:
    hashes = connection.sql(f"SELECT pair FROM taken WHERE pair % {rounds} = {number}")
    for batch in hashes.to_arrow_reader():
        yield batch["pair"].to_numpy()
