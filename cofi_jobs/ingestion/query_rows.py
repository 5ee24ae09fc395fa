"""Ratings of an SQL query in PostgreSQL: what is new since the last batch, as a file that ingest takes as any other.

A column of the query, the watermark, tells what is new. A batch is an interval of it, (from, to]: `to` is the largest
value in one snapshot of the database and is kept with the batch, so it only counts once the batch is complete. What is
read again, for transactions may commit late, are the last `source_overlap` seconds (or units) before `from`; a rating
that is read twice counts once, as one that is in two files does.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from cofi_jobs.core.credentials import SOURCE_DATABASE
from cofi_jobs.core.errors import DataError, SettingsError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.layout import TEMPORARY
from cofi_jobs.store.store import Store

if TYPE_CHECKING:
    from cofi_jobs.core import postgres

log = logging.getLogger(__name__)

TIMES = ("timestamp with time zone", "timestamp without time zone", "date")
NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
# No such value may become the last one: nothing would ever come after it.
ENDLESS = ("infinity", "Infinity", "NaN")
# Tables that a transaction has read, behind views too: it holds their locks until it ends.
TABLES_READ = """
    SELECT DISTINCT nspname::text, relname::text
    FROM pg_locks JOIN pg_class c ON c.oid = relation JOIN pg_namespace n ON n.oid = relnamespace
    WHERE pid = pg_backend_pid() AND relkind IN ('r', 'p', 'm', 'f') AND NOT relispartition
        AND nspname != 'pg_catalog'
    ORDER BY 1, 2"""


@dataclass(frozen=True)
class Extract:
    """Files with the rows of a query, one or none, and what the batch keeps: the query's name, the watermark.

    `reads` are the URIs of the tables that the query has read.
    """

    files: Sequence[Path] = ()
    source: dict[str, str] | None = None
    reads: Sequence[str] = ()


@contextmanager
def extracted(store: Store, settings: Settings, run_key: str) -> Iterator[Extract]:
    """The new rows of the settings' query, in a file that is gone afterwards; none if the run has taken them already.

    Raises SettingsError without a query or an address, DataError if the query cannot be used, ConnectionError if the
    database cannot be reached.
    """
    folder = (
        store.root / f"{TEMPORARY}source"
    )  # if this is killed, erasing users or the next ingest removes it
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield _extract(store, settings, run_key, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _extract(store: Store, settings: Settings, run_key: str, folder: Path) -> Extract:
    query, address = settings.source_query, os.environ.get(SOURCE_DATABASE)
    if query is None:
        if settings.source_connection:
            raise SettingsError(
                "found source_connection, but no source_query, expected both or none"
            )
        return Extract()
    from cofi_jobs.core import (
        postgres,  # here: the driver takes seconds to import, and memory from a night without a query
    )

    if not address:
        raise SettingsError(
            f"found source_query, but no database to ask, expected source_connection, or without Airflow "
            f"{SOURCE_DATABASE}={postgres.ADDRESS}"
        )
    query = query.strip().rstrip(";")
    name = (
        "query-" + hashlib.sha256(f"{settings.source_watermark}\n{query}".encode()).hexdigest()[:16]
    )
    sources = {
        key: file["source"]
        for key in store.batches()
        for file in store.required_outcome(key, "ingest")["files"]
        if file.get("source", {}).get("query") == name
    }
    if run_key in sources:
        log.info(
            "%s: what an earlier attempt of this run took, up to %s, is kept",
            name,
            sources[run_key]["watermark"],
        )
        return Extract()
    folder.mkdir()
    path = folder / f"{name}.parquet"
    with postgres.session(SOURCE_DATABASE, address) as session:
        for parameter in ("TimeZone = 'UTC'", "DateStyle = 'ISO'", "extra_float_digits = 1"):
            session.execute(f"SET {parameter}")
        with session.transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            last = [source["watermark"] for source in sources.values()]
            watermark = _read(session, query, settings, last, path)
            reads = [postgres.uri(address, *table) for table in session.rows(TABLES_READ)]
    if watermark is None:
        log.info("%s: no rows above the last watermark", name)
        return Extract(reads=reads)
    return Extract([path], {"query": name, "watermark": watermark}, reads)


def _read(
    session: "postgres.Session", query: str, settings: Settings, last: list[str], path: Path
) -> str | None:
    """Write the query's rows above the largest of the last watermarks, as text; returns the new watermark."""
    source, column = f"(\n{query}\n) AS source", settings.source_watermark
    with session.reader(f"SELECT * FROM {source} LIMIT 0") as reader:
        columns = reader.schema.names
    if column not in columns:
        raise DataError(
            f"found the columns {', '.join(map(repr, columns))} in source_query, expected {column!r} among them, by "
            "which to tell what is new (setting source_watermark)"
        )
    value = sql.name(column)
    [(kind,)] = session.rows(f"SELECT pg_typeof((SELECT {value} FROM {source} LIMIT 0))::text")
    after = (
        f"greatest({', '.join(f'{sql.quote(mark)}::{kind}' for mark in last)})" if last else "NULL"
    )
    start = after
    if kind in TIMES:
        start = f"{after} - interval '{settings.source_overlap} seconds'"
    elif kind in NUMBERS:
        start = f"({after} - {settings.source_overlap})::{kind}"  # of the column's type, else no index would be used
    above = f"{value} > {start}" if last else "true"
    # A clock that is ahead must not hide what comes until then.
    due = f"{value} <= now() + interval '1 day'" if kind in TIMES else "true"
    n_null, n_early, watermark, is_new = session.rows(f"""
        SELECT count(*) FILTER (WHERE {value} IS NULL), count(*) FILTER (WHERE NOT ({due})),
            (max({value}) FILTER (WHERE {due}))::text, coalesce(max({value}) FILTER (WHERE {due}) > {after}, true)
        FROM {source} WHERE {value} IS NULL OR {above}""")[0]
    if n_null:
        raise DataError(
            f"found {n_null} rows of source_query whose {column} is NULL, expected a value in each: they would never "
            "be read"
        )
    if n_early:
        log.warning(
            "%d rows of source_query whose %s is more than a day ahead are left until then",
            n_early,
            column,
        )
    if watermark in ENDLESS:
        raise DataError(
            f"found {watermark} as the largest {column} of source_query, expected an end of what is new"
        )
    if watermark is None or not is_new:
        return None
    cells = ", ".join(f"{sql.name(name)}::text AS {sql.name(name)}" for name in columns)
    rows = f"{above} AND {value} <= {sql.quote(watermark)}::{kind}"
    with session.reader(
        f"SELECT {cells} FROM {source} WHERE {rows} ORDER BY source.{value}"
    ) as reader:
        with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
    return str(watermark)
