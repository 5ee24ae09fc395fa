"""Ratings of an SQL query in PostgreSQL: what is new since the last batch, as a file for ingest.

A column of the query, the watermark, tells what is new. A batch is an interval of the watermark,
(from, to]. `to` is the largest value in one snapshot of the database. The batch keeps `to`, so it
counts only once the batch is complete. Transactions may commit late, so the last `source_overlap`
seconds (or units) before `from` are read again. A rating that is read twice counts once, as one
that is in two files does. An event would count twice. So in a store of events nothing is read
again; rows that are younger than `source_overlap` seconds wait for the next run instead.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cofi_jobs.core.credentials import SOURCE_DATABASE
from cofi_jobs.core.errors import DataError, SettingsError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import parquet, sql
from cofi_jobs.store.store import Store

if TYPE_CHECKING:
    from cofi_jobs.core import postgres

log = logging.getLogger(__name__)

TIMES = ("timestamp with time zone", "timestamp without time zone", "date")
NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
# No such value may become the last one: nothing would ever come after it.
ENDLESS = ("infinity", "Infinity", "NaN")
SESSION = ("TimeZone = 'UTC'", "DateStyle = 'ISO'", "extra_float_digits = 1")
# Tables that a transaction has read, behind views too: it holds their locks until it ends.
TABLES_READ = """
    SELECT DISTINCT nspname::text, relname::text
    FROM pg_locks JOIN pg_class c ON c.oid = relation JOIN pg_namespace n ON n.oid = relnamespace
    WHERE pid = pg_backend_pid() AND relkind IN ('r', 'p', 'm', 'f') AND NOT relispartition
        AND nspname != 'pg_catalog'
    ORDER BY 1, 2"""


@dataclass(frozen=True)
class Extract:
    """A file with the rows of a query, if there are any, and what the batch keeps of it.

    `source` has the query's name and the watermark. `reads` are URIs of the tables that were read.
    """

    files: Sequence[Path] = ()
    source: dict[str, str] | None = None
    reads: Sequence[str] = ()


@contextmanager
def extracted(store: Store, settings: Settings, run_key: str) -> Iterator[Extract]:
    """The new rows of the settings' query, in a file that is removed afterwards.

    There is no file if the run has taken the rows already. Raises SettingsError without a query or
    an address, DataError if the query cannot be used, ConnectionError if the database cannot be
    reached.
    """
    # If this is killed, erasing users or the next ingest removes the folder.
    folder = store.temporary("source")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield _extract(store, settings, run_key, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extract(store: Store, settings: Settings, run_key: str, folder: Path) -> Extract:
    if settings.source_query is None:
        if settings.source_connection:
            raise SettingsError(
                "found source_connection, but no source_query, expected both or none"
            )
        return Extract()
    # Imported here: the driver takes seconds to import, and memory from runs without a query.
    from cofi_jobs.core import postgres

    address = os.environ.get(SOURCE_DATABASE)
    if not address:
        raise SettingsError(
            "found source_query, but no database to ask, expected source_connection, "
            f"or without Airflow {SOURCE_DATABASE}={postgres.ADDRESS}"
        )
    query = settings.source_query.strip().rstrip(";")
    digest = hashlib.sha256(f"{settings.source_watermark}\n{query}".encode()).hexdigest()
    name = f"query-{digest[:16]}"
    watermarks = _watermarks(store, name)
    if run_key in watermarks:
        log.info(
            "%s: what an earlier attempt of this run took, up to %s, is kept",
            name,
            watermarks[run_key],
        )
        return Extract()
    folder.mkdir()
    path = folder / f"{name}.parquet"
    with postgres.session(SOURCE_DATABASE, address) as session:
        for parameter in SESSION:
            session.execute(f"SET {parameter}")
        with session.transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            adds_up = "events" in (settings.feedback, store.records.feedback())
            last = list(watermarks.values())
            watermark = _read(session, query, settings, last, adds_up, path)
            reads = [postgres.uri(address, *table) for table in session.rows(TABLES_READ)]
    if watermark is None:
        log.info("%s: no rows above the last watermark", name)
        return Extract(reads=reads)
    return Extract([path], {"query": name, "watermark": watermark}, reads)


def _watermarks(store: Store, name: str) -> Mapping[str, str]:
    """The watermark of each run that took rows of the query."""
    return {
        key: file["source"]["watermark"]
        for key in store.batches()
        for file in store.required_outcome(key, "ingest")["files"]
        if file.get("source", {}).get("query") == name
    }


@dataclass(frozen=True)
class _NewRows:
    """Conditions of PostgreSQL for the rows of a query that are new.

    source    the query as a table
    value     the watermark's column
    kind      its type
    after     the largest of the last watermarks; NULL without any
    above     rows to be read: those above `after` and the overlap before it
    due       rows not dated ahead: a clock that is ahead must not hide what comes until then; of
              events, rows older than the overlap
    waiting   what the others are called in the log
    """

    source: str
    value: str
    kind: str
    after: str
    above: str
    due: str
    waiting: str = "more than a day ahead"


def _read(
    session: "postgres.Session",
    query: str,
    settings: Settings,
    last: Sequence[str],
    adds_up: bool,
    path: Path,
) -> str | None:
    """Write the rows above the last watermarks, as text; `adds_up`: each row must come once.

    Returns the new watermark, None without new rows.
    """
    source = f"(\n{query}\n) AS source"
    columns = _columns(session, source, settings.source_watermark)
    new = _new_rows(session, source, settings, last, adds_up)
    watermark = _new_watermark(session, new, settings.source_watermark)
    if watermark is None:
        return None
    cells = ", ".join(f"{sql.name(name)}::text AS {sql.name(name)}" for name in columns)
    rows = f"{new.above} AND {new.value} <= {sql.quote(watermark)}::{new.kind}"
    select = f"SELECT {cells} FROM {source} WHERE {rows} ORDER BY source.{new.value}"
    with session.reader(select) as reader:
        with parquet.writer(path, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    return watermark


def _columns(session: "postgres.Session", source: str, watermark: str) -> list[str]:
    """The columns of the query. Raises DataError if the watermark's is not among them."""
    with session.reader(f"SELECT * FROM {source} LIMIT 0") as reader:
        columns: list[str] = reader.schema.names
    if watermark not in columns:
        raise DataError(
            f"found the columns {', '.join(map(repr, columns))} in source_query, "
            f"expected {watermark!r} among them, by which to tell what is new "
            "(setting source_watermark)"
        )
    return columns


def _new_rows(
    session: "postgres.Session",
    source: str,
    settings: Settings,
    last: Sequence[str],
    adds_up: bool,
) -> _NewRows:
    value = sql.name(settings.source_watermark)
    [(kind,)] = session.rows(f"SELECT pg_typeof((SELECT {value} FROM {source} LIMIT 0))::text")
    marks = ", ".join(f"{sql.quote(mark)}::{kind}" for mark in last)
    after = f"greatest({marks})" if last else "NULL"
    start, overlap = after, f"interval '{settings.source_overlap} seconds'"
    if adds_up:
        above = f"{value} > {after}" if last else "true"
        due = f"{value} <= now() - {overlap}" if kind in TIMES else "true"
        return _NewRows(source, value, kind, after, above, due, "younger than source_overlap")
    if kind in TIMES:
        start = f"{after} - {overlap}"
    elif kind in NUMBERS:
        # Of the column's type, else PostgreSQL would use no index.
        start = f"({after} - {settings.source_overlap})::{kind}"
    above = f"{value} > {start}" if last else "true"
    due = f"{value} <= now() + interval '1 day'" if kind in TIMES else "true"
    return _NewRows(source, value, kind, after, above, due)


def _new_watermark(session: "postgres.Session", new: _NewRows, column: str) -> str | None:
    """The largest value of the new rows, None if no row is new.

    Raises DataError for values that tell nothing.
    """
    [(n_null, n_early, watermark, is_new)] = session.rows(f"""
        SELECT count(*) FILTER (WHERE {new.value} IS NULL), count(*) FILTER (WHERE NOT ({new.due})),
            (max({new.value}) FILTER (WHERE {new.due}))::text,
            coalesce(max({new.value}) FILTER (WHERE {new.due}) > {new.after}, true)
        FROM {new.source} WHERE {new.value} IS NULL OR {new.above}""")
    if n_null:
        raise DataError(
            f"found {n_null} rows of source_query whose {column} is NULL, "
            "expected a value in each: they would never be read"
        )
    if n_early:
        log.warning(
            "%d rows of source_query whose %s is %s are left until then",
            n_early,
            column,
            new.waiting,
        )
    if watermark in ENDLESS:
        raise DataError(
            f"found {watermark} as the largest {column} of source_query, "
            "expected an end of what is new"
        )
    return str(watermark) if watermark is not None and is_new else None
