"""Normalize: current ratings, row numbers, item means, and each rating less its item's mean.

Writes the table `normalized`:

    ratings.parquet   user_index, item_index, rating, y_norm, timestamp, draw; sorted by user, each
                      user's newest rating last; y_norm is the rating less the mean of its item
    users.parquet     user_index, user_id, n_ratings, trust
    items.parquet     item_index, item_id, mean, n_ratings, n_trusted, title, groups, mean_rating;
                      mean is damped and weighted by trust, n_trusted the sum of these weights,
                      mean_rating the plain mean

Ratings of a user at equal times, or without a time, are in no order. So a number is drawn for each
pair of user and item, the same in every run, and these ratings are sorted by it. `draw` is this
number, of 16 bits.

In a store of events `rating` is the sum of the pair's counts; both means and y_norm are null.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa

from cofi_jobs.core.errors import DataError, StoreError
from cofi_jobs.core.feedback import Feedback
from cofi_jobs.engine.engines import flow_on
from cofi_jobs.erasure.tombstones import check_finished
from cofi_jobs.ingestion.catalogue import catalogue
from cofi_jobs.ingestion.formats import is_text
from cofi_jobs.ingestion.rejects import LINES, check_quotes, forget_rejects
from cofi_jobs.model.item_means import damped_means
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.batches import checked_parts
from cofi_jobs.store.current_ratings import RowCounts
from cofi_jobs.store.drops import drop_files
from cofi_jobs.store.source_roots import SourceRoots
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import normalized_rows
from cofi_jobs.tasks.current_here import CurrentHere
from cofi_jobs.tasks.current_on_engine import CurrentOnEngine

log = logging.getLogger(__name__)

ITEMS = """
    SELECT item_index, item_id, mean, n_ratings, n_trusted, title, groups,
        total / n_ratings AS mean_rating
    FROM items JOIN means USING (item_index)
    LEFT JOIN catalogue ON catalogue_id = item_id::VARCHAR ORDER BY item_index"""
FEW_MATCHES = 0.05  # share of the catalogue's items, or of the rated ones, that raises a warning


class Current(Protocol):
    """The current ratings of a store: the newest of each (user, item); of events their sums.

    SQL selects rows in the task's connection.
    """

    rows: RowCounts
    n_outside: int  # ratings that the scale has no place for
    n_ratings: int
    n_users: int

    def item_sums(self) -> str:
        """SQL of item_id, n_ratings and total, some rows for each item, which add up."""

    def lesser_item_sums(self) -> str:
        """The same, of the ratings by users who are not fully trusted.

        The connection has the table `items`.
        """

    def write_users(self, path: Path) -> None:
        """Write the file of users."""

    def write_ratings(self, path: Path) -> None:
        """Write the file of ratings. The connection has the tables `items` and `means`."""


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Normalize the newest rating of each (user, item) over all batches up to this run's.

    Raises DataError if there are no ratings, StoreError if some may be of erased users.
    """
    check_finished(store)
    batches, parts = store.batches(up_to=run_key), checked_parts(store, up_to=run_key)
    feedback = store.records.feedback()
    nothing = DataError(f"found no ratings in the batches up to {run_key}, expected at least one")
    if not sum(parts.values()):
        raise nothing
    ends = store.required_outcome(run_key, "ingest")["scale"]
    with (
        store.replace_folder(store.table(run_key, "normalized")) as folder,
        sql.connect(settings, folder) as connection,
        _current(connection, store, parts, settings, feedback, ends) as current,
    ):
        if not current.n_ratings:
            raise nothing
        counts, sums = normalized_rows.number_items(connection, current.item_sums())
        if (weight := settings.new_account_weight) != 1:
            lesser = current.lesser_item_sums()
            counts, sums = normalized_rows.trusted(connection, lesser, weight, counts, sums)
        _register_means(connection, feedback, counts, sums, settings.damping)
        _read_catalogue(connection, store, settings)
        current.write_users(folder / "users.parquet")
        n_items = sql.write_parquet(connection, ITEMS, folder / "items.parquet")
        current.write_ratings(folder / "ratings.parquet")
    counts_of_run = {
        "n_outside": current.n_outside,
        "n_ratings": current.n_ratings,
        "n_users": current.n_users,
        "n_items": n_items,
    }
    _log_counts(counts_of_run, feedback, ends, len(batches))
    return {"batches": batches, **account(store, batches, current.rows), **counts_of_run}


def _log_counts(
    counts: Mapping[str, int],
    feedback: Feedback,
    ends: tuple[float, float] | None,
    n_batches: int,
) -> None:
    pairs = "pairs" if feedback == "events" else "ratings"
    log.info(
        "%d current %s of %d items by %d users from %d batches",
        *(counts["n_ratings"], pairs, counts["n_items"], counts["n_users"], n_batches),
    )
    if ends and counts["n_outside"]:
        log.warning(
            "%d ratings of earlier runs are outside the scale %g to %g, so they do not count",
            *(counts["n_outside"], *ends),
        )


@contextmanager
def _current(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    parts: dict[Path, int],
    settings: Settings,
    feedback: Feedback,
    scale: tuple[float, float] | None,
) -> Iterator[Current]:
    """The current ratings, where the setting `engine` says."""
    if settings.engine == "local":
        yield CurrentHere(connection, parts, settings, feedback, scale)
        return
    with flow_on(settings) as flow:
        yield CurrentOnEngine(flow, connection, store, parts, settings, feedback, scale)


def account(store: Store, batches: Sequence[str], rows: RowCounts) -> dict[str, int]:
    """What became of each row that was ever read.

    n_read = n_rows + n_refused + n_erased. Raises StoreError if that does not hold: then rows were
    lost.
    """
    files = [file for key in batches for file in store.required_outcome(key, "ingest")["files"]]
    n_read, n_rejected, n_erased = (
        sum(file.get(name, 0) for file in files)
        for name in ("rows_read", "rows_refused", "rows_erased")
    )
    compacted = store.records.compacted()  # rows that compaction left out count as before
    n_erased += compacted.get("rows_erased", 0)
    n_left_out = compacted.get("rows_superseded", 0)
    n_rows = rows.n_rows + n_left_out
    if n_read != n_rows + n_rejected + n_erased:
        raise StoreError(
            f"found {n_rows} rows taken, {n_rejected} rejected and {n_erased} erased in the "
            f"batches up to {batches[-1]}, expected the {n_read} that were read"
        )
    return {
        "n_read": n_read,
        "n_refused": n_rejected,
        "n_erased": n_erased,
        "n_rows": n_rows,
        "n_superseded": rows.n_superseded + n_left_out,
        "n_withdrawn": rows.n_withdrawn,
    }


def _register_means(
    connection: duckdb.DuckDBPyConnection,
    feedback: Feedback,
    counts: np.ndarray,
    sums: np.ndarray,
    damping: float,
) -> None:
    """Make the table `means` of items, from numbers and sums of ratings weighted by trust."""
    means = damped_means(counts, sums, damping) if feedback == "ratings" else None
    columns = {
        "item_index": np.arange(len(counts), dtype=np.int32),
        "mean": pa.nulls(len(counts), pa.float32()) if means is None else means,
        "n_trusted": counts.astype(np.float32),
    }
    connection.register("means", pa.table(columns))


def _read_catalogue(
    connection: duckdb.DuckDBPyConnection, store: Store, settings: Settings
) -> None:
    """Make the table `catalogue`: titles and groups of items from the files in catalogue/.

    Of two rows for one item the last one of the later file counts.
    """
    connection.execute(
        "CREATE TEMP TABLE named (catalogue_id VARCHAR, title VARCHAR, groups VARCHAR)"
    )
    for path in drop_files(store.catalogue, SourceRoots.of(store).check):
        try:
            rows = catalogue(connection, path, settings)
            connection.execute(f"INSERT INTO named {rows}")
            if is_text(path):
                check_quotes(connection, path)
                [(malformed,)] = connection.execute(f"SELECT count(*) FROM {LINES}").fetchall()
                if malformed:
                    log.warning(
                        "%s: %d malformed lines of the catalogue were skipped", path, malformed
                    )
                forget_rejects(connection)
        except duckdb.Error as error:
            raise sql.unreadable(path, error, "a catalogue") from None
    connection.execute("""
        CREATE TEMP VIEW catalogue AS
        SELECT DISTINCT ON (catalogue_id) catalogue_id, title, groups FROM named
        ORDER BY catalogue_id, named.rowid DESC""")
    _warn_of_other_ids(connection)


def _warn_of_other_ids(connection: duckdb.DuckDBPyConnection) -> None:
    """Warn if nearly no id of the catalogue is that of a rated item, such as "007" and 7."""
    [(n_named, n_items, n_matched, named, item)] = connection.execute("""
        SELECT (SELECT count(*) FROM catalogue), count(*), count(catalogue_id),
            (SELECT min(catalogue_id) FROM catalogue), min(item_id::VARCHAR)
        FROM items LEFT JOIN catalogue ON catalogue_id = item_id::VARCHAR""").fetchall()
    if n_matched < FEW_MATCHES * min(n_named, n_items):
        log.warning(
            "the catalogue names %d items, but only %d of the %d rated ones: its ids are such as "
            "%r, those of ratings such as %r",
            *(n_named, n_matched, n_items, named, item),
        )
