"""Normalize: current ratings, row numbers, item means, and each rating as a distance from its item's mean.

Writes the table `normalized`:

    ratings.parquet   user_index, item_index, rating, y_norm, timestamp; sorted by user, each user's newest rating last
    users.parquet     user_index, user_id, n_ratings
    items.parquet     item_index, item_id, mean, n_ratings, title, groups
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.core.errors import DataError, StoreError
from cofi_jobs.ingestion import formats as sources
from cofi_jobs.model.item_means import damped_means
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.batches import rating_parts
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

STAGING = (
    "staging"  # a database for the newest rows, in a file: it keeps them small, and memory free
)
FEW = (
    0.2  # repeated pairs, by rows: with more, to compare all rows is faster than to look for theirs
)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Normalize the newest rating of each (user, item) over all batches up to this run's."""
    batches, parts = store.batches(up_to=run_key), rating_parts(store, up_to=run_key)
    nothing = DataError(f"found no ratings in the batches up to {run_key}, expected at least one")
    if not parts:
        raise nothing
    with (
        store.replace_folder(store.table(run_key, "normalized")) as folder,
        sql.connect(settings, folder) as connection,
    ):
        counts_of_rows = newest(connection, parts, settings.memory_limit_mb)
        connection.execute(f"DELETE FROM {STAGING}.newest WHERE rating IS NULL")
        n_ratings = connection.execute("SELECT count(*) FROM newest").fetchall()[0][0]
        if not n_ratings:
            raise nothing
        counts, sums = _number_rows(connection)
        means = pa.table({"item_index": np.arange(len(counts), dtype=np.int32),
                          "mean": damped_means(counts, sums, settings.damping)})  # fmt: skip
        connection.register("means", means)
        _read_catalogue(connection, store)
        sql.write_parquet(
            connection,
            "SELECT user_index, item_index, rating, rating - mean AS y_norm, timestamp "
            "FROM numbered JOIN means USING (item_index) ORDER BY user_index, timestamp NULLS FIRST, arrival",
            folder / "ratings.parquet",
        )
        n_users = sql.write_parquet(
            connection, "FROM users ORDER BY user_index", folder / "users.parquet"
        )
        n_items = sql.write_parquet(
            connection,
            "SELECT item_index, item_id, mean, n_ratings, title, groups FROM items JOIN means USING (item_index) "
            "LEFT JOIN catalogue ON catalogue_id = item_id::VARCHAR ORDER BY item_index",
            folder / "items.parquet",
        )
    log.info(
        "%d current ratings of %d items by %d users from %d batches",
        n_ratings,
        n_items,
        n_users,
        len(batches),
    )
    sizes = {"n_ratings": n_ratings, "n_users": n_users, "n_items": n_items}
    return {"batches": batches, **account(store, batches, counts_of_rows), **sizes}


def account(store: Store, batches: Sequence[str], newest_rows: dict[str, int]) -> dict[str, int]:
    """What became of each row that was ever read: `newest`'s counts, completed by rows that the batches' files lack.

    n_read = n_rows + n_refused + n_erased. Raises StoreError if that does not hold: then rows were lost.
    """
    files = [file for key in batches for file in store.required_outcome(key, "ingest")["files"]]
    n_read, n_refused, n_erased = (
        sum(file.get(name, 0) for file in files)
        for name in ("rows_read", "rows_refused", "rows_erased")
    )
    merged = (
        store.records.compacted()
    )  # what was left out when batches were merged counts as before
    superseded, n_erased = merged.get("rows_superseded", 0), n_erased + merged.get("rows_erased", 0)
    rows = {name: newest_rows[name] + superseded for name in ("n_rows", "n_superseded")}
    if n_read != rows["n_rows"] + n_refused + n_erased:
        raise StoreError(
            f"found {rows['n_rows']} rows taken, {n_refused} refused and {n_erased} erased in the batches up to "
            f"{batches[-1]}, expected the {n_read} that were read"
        )
    return {"n_read": n_read, "n_refused": n_refused, "n_erased": n_erased, **newest_rows, **rows}


def newest(
    connection: duckdb.DuckDBPyConnection, parts: dict[Path, int], memory_mb: int
) -> dict[str, int]:
    """Make the table `newest`: the newest row of each (user, item), by time, then by order of arrival.

    No time counts as oldest; a row without a rating withdraws. `parts` gives the files in order of arrival, and the
    rows that each must have. Returns how many rows there were, and how many are superseded or withdrawals.
    Raises StoreError if a file has other rows than were put in.
    """
    for path, expected in parts.items():
        found = pq.read_metadata(path).num_rows if path.exists() else 0
        if found != expected:
            raise StoreError(
                f"found {found} rows in {path}, expected the {expected} that were put there"
            )
    n_rows = sum(parts.values())
    # One number for the order of arrival: of the files, and of the rows in each.
    connection.execute(f"""
        CREATE TEMP VIEW taken AS
        SELECT user_id, item_id, rating, timestamp, (file_index::BIGINT << 40) + file_row_number AS arrival,
            hash(user_id, item_id) AS pair
        FROM read_parquet({sql.files([*parts])})""")
    repeated = _repeated(connection, n_rows, memory_mb * 1_000_000 // 2)
    few = len(repeated) < n_rows * FEW
    if few:
        connection.register("repeated", pa.table({"pair": repeated}))
    del repeated  # many would hold memory that the sort of all rows needs
    sql.attach(connection, STAGING)
    connection.execute(f"""
        CREATE TABLE {STAGING}.newest AS
        SELECT * EXCLUDE (pair) FROM taken {"SEMI JOIN repeated USING (pair)" if few else ""} QUALIFY
            row_number() OVER (PARTITION BY user_id, item_id ORDER BY timestamp DESC NULLS LAST, arrival DESC) = 1""")
    if few:
        rest = "SELECT * EXCLUDE (pair) FROM taken ANTI JOIN repeated USING (pair)"
        connection.execute(f"INSERT INTO {STAGING}.newest {rest}")
    connection.execute(f"CREATE TEMP VIEW newest AS FROM {STAGING}.newest")
    pairs, withdrawn = connection.execute(
        "SELECT count(*), count(*) FILTER (rating IS NULL) FROM newest"
    ).fetchall()[0]  # fmt: skip
    return {"n_rows": n_rows, "n_superseded": n_rows - pairs, "n_withdrawn": withdrawn}


def _repeated(connection: duckdb.DuckDBPyConnection, n_rows: int, memory: int) -> np.ndarray:
    """Hashes of the pairs that more than one row of `taken` has, uint64; and of pairs whose hashes are equal.

    Most pairs have one row, and to find the others is to sort numbers, which takes a fraction of sorting rows; as many
    times over the rows as `memory` bytes need.
    """
    rounds, found = -(-8 * n_rows // memory), [np.empty(0, np.uint64)]
    for number in range(rounds):
        some = connection.sql(f"SELECT pair FROM taken WHERE pair % {rounds} = {number}")
        hashes, n = np.empty(n_rows, np.uint64), 0
        for batch in some.to_arrow_reader():
            hashes[n : n + len(batch)] = batch["pair"].to_numpy()
            n += len(batch)
        hashes = hashes[:n]
        hashes.sort()
        found.append(hashes[1:][hashes[1:] == hashes[:-1]])
    return np.concatenate(found)


def _number_rows(connection: duckdb.DuckDBPyConnection) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers from sorted ids, so that they repeat from run to run. Returns number and sum of each item's ratings.

    Sums are exact decimals: their order must not show in the result.
    """
    for side, more in (("user", ""), ("item", ", sum(rating::DECIMAL(18, 6))::DOUBLE AS total")):
        connection.execute(f"""
            CREATE TEMP TABLE {side}s AS
            SELECT (row_number() OVER (ORDER BY {side}_id) - 1)::INTEGER AS {side}_index, {side}_id,
                count(*)::INTEGER AS n_ratings{more}
            FROM newest GROUP BY {side}_id""")
    connection.execute("""
        CREATE TEMP VIEW numbered AS SELECT user_index, item_index, rating, timestamp, arrival
        FROM newest JOIN users USING (user_id) JOIN items USING (item_id)""")
    columns = connection.execute(
        "SELECT n_ratings, total FROM items ORDER BY item_index"
    ).fetchnumpy()
    return columns["n_ratings"], columns["total"]


def _read_catalogue(connection: duckdb.DuckDBPyConnection, store: Store) -> None:
    """Titles and groups of items from the files in catalogue/; of two rows for one item the later file's counts."""
    connection.execute(
        "CREATE TEMP TABLE named (catalogue_id VARCHAR, title VARCHAR, groups VARCHAR, file INTEGER)"
    )
    for number, path in enumerate(sources.drop_files(store.catalogue)):
        try:
            connection.execute(
                f"INSERT INTO named SELECT *, {number} FROM ({sources.catalogue(connection, path)})"
            )
            if sources.is_text(path):
                sources.check_quotes(connection, path)
                [(malformed,)] = connection.execute(
                    "SELECT count(DISTINCT line) FROM reject_errors"
                ).fetchall()
                if malformed:
                    log.warning(
                        "%s: %d malformed lines of the catalogue were passed over", path, malformed
                    )
                connection.execute("DELETE FROM reject_errors")
        except duckdb.Error as error:
            raise DataError(
                f"{path} cannot be read as a catalogue: {str(error).splitlines()[0]}"
            ) from None
    connection.execute("""
        CREATE TEMP VIEW catalogue AS
        SELECT DISTINCT ON (catalogue_id) catalogue_id, title, groups FROM named
        ORDER BY catalogue_id, file DESC, title""")
