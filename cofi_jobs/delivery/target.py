"""A schema of a PostgreSQL database that lists are delivered to.

It has one table for each of TABLES, and `run` with one row: whose lists they are. A delivery loads
each table by COPY into a staging table. One transaction then deletes the old rows and inserts the
new ones. So a reader's snapshot has one whole run, at any isolation level; no reader waits for a
lock; grants on the tables and views of them stay. Other ways to swap lose some of that: TRUNCATE
and DROP lock readers out and empty what older snapshots see, and so do renames and new partitions
for a statement that was planned before and runs after.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from cofi_jobs.core import postgres
from cofi_jobs.core.errors import DataError, StoreError
from cofi_jobs.delivery.tables import KEYS, TABLES, published_rows, rows, schemas
from cofi_jobs.store import sql
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

SQL_TYPES = {pa.int64(): "bigint", pa.int32(): "integer", pa.float32(): "real", pa.string(): "text"}


class Target:
    """The schema of a database that deliveries go to."""

    def __init__(self, session: postgres.Session, schema: str) -> None:
        self.session = session
        self.schema = schema

    def name(self, relation: str) -> str:
        """A relation of the schema, quoted."""
        return f"{sql.name(self.schema)}.{sql.name(relation)}"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held by one delivery at a time. The server releases it when the session ends."""
        key = f"hashtextextended({sql.quote('cofi deliver ' + self.schema)}, 0)"
        if self.session.rows(f"SELECT pg_try_advisory_lock({key})") == [(False,)]:
            log.info("waiting for another delivery to %s", self.schema)
            self.session.rows(f"SELECT pg_advisory_lock({key})::text")
        yield
        self.session.rows(f"SELECT pg_advisory_unlock({key})")

    def columns(self, table: str) -> list[tuple[str, str]]:
        """Names and types of a table's columns, in order; none if there is no such table."""
        return self.session.rows(f"""
            SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = to_regclass({sql.quote(self.name(table))})
                AND attnum > 0 AND NOT attisdropped
            ORDER BY attnum""")

    def delivered(self) -> tuple[str, str] | None:
        """Run key and content of what the tables hold, None before the first delivery."""
        delivered = self.session.rows(f"SELECT run_key, content FROM {self.name('run')}")
        return delivered[0] if delivered else None

    def create(self, schemas: Mapping[str, pa.Schema]) -> None:
        """Make what is missing. Raises DataError if a table has other columns than the run's."""
        # CREATE ... IF NOT EXISTS needs the right to create even where there is nothing to do.
        if self.session.rows(
            f"SELECT to_regnamespace({sql.quote(sql.name(self.schema))}) IS NULL"
        ) == [(True,)]:
            self.session.execute(f"CREATE SCHEMA {sql.name(self.schema)}")
        if not self.columns("run"):
            self.session.execute(f"""
                CREATE TABLE {self.name("run")} (
                    run_key text NOT NULL, delivered_at timestamptz NOT NULL,
                    schema_version integer NOT NULL, content text NOT NULL)""")
        for table, schema in schemas.items():
            if columns := self.columns(table):
                self._add_columns(table, columns, schema)
            else:
                self._create_table(table, schema)

    def _add_columns(self, table: str, columns: list[tuple[str, str]], schema: pa.Schema) -> None:
        """Add what a newer version of CoFi has at the end. Raises DataError on other changes."""
        expected = [(field.name, SQL_TYPES[field.type]) for field in schema]
        if columns != expected[: len(columns)]:
            raise DataError(
                f"found the columns {_list(columns)} in {self.name(table)}, but the run's {table} "
                f"have {_list(expected)}; services would break: when they are ready, "
                f"DROP TABLE {self.name(table)} CASCADE, deliver again, and grant again"
            )
        for name, kind in expected[len(columns) :]:
            with self.session.transaction():
                # New readers wait behind this lock, so it is not waited for long.
                self.session.execute("SET LOCAL lock_timeout = '5s'")
                self.session.execute(
                    f"ALTER TABLE {self.name(table)} ADD COLUMN {sql.name(name)} {kind}"
                )

    def _create_table(self, table: str, schema: pa.Schema) -> None:
        columns, key = ", ".join(map(_column, schema)), ", ".join(KEYS[table])
        with self.session.transaction():
            self.session.execute(
                f"CREATE TABLE {self.name(table)} ({columns}, PRIMARY KEY ({key}))"
            )
            for field in schema:
                description = sql.quote(field.metadata[b"description"].decode())
                self.session.execute(
                    f"COMMENT ON COLUMN {self.name(table)}.{sql.name(field.name)} IS {description}"
                )
            # One of the run's tables is empty now, so the run is no longer delivered.
            self.session.execute(f"UPDATE {self.name('run')} SET content = ''")

    def deliver(self, store: Store, manifest: Mapping[str, Any], content: str) -> int:
        """Replace all rows by those of a run, at once; returns the number of rows.

        `content` is the run's fingerprint. Raises StoreError if the run's files lack rows.
        """
        self.remove_staging()
        n_rows = sum(self._load(store, manifest, table) for table in TABLES)
        with self.session.transaction():
            for table, schema in schemas(manifest).items():
                columns = ", ".join(sql.name(name) for name in schema.names)
                self.session.execute(f"DELETE FROM {self.name(table)}")
                self.session.execute(f"""
                    INSERT INTO {self.name(table)} ({columns})
                    SELECT {columns} FROM {self.name(_staging(table))}
                    ORDER BY {", ".join(KEYS[table])}""")
            self._set_run(manifest, content)
        log.info(
            "delivered run %s: %d rows into the schema %s", manifest["run_key"], n_rows, self.schema
        )
        for table in TABLES:
            # Makes room for the next delivery. To truncate the file would lock readers out.
            self.session.execute(f"VACUUM (ANALYZE, TRUNCATE false) {self.name(table)}")
        return n_rows

    def _set_run(self, manifest: Mapping[str, Any], content: str) -> None:
        key, version = sql.quote(manifest["run_key"]), manifest["schema_version"]
        self.session.execute(f"DELETE FROM {self.name('run')}")
        self.session.execute(f"""
            INSERT INTO {self.name("run")} (run_key, delivered_at, schema_version, content)
            VALUES ({key}, now(), {version}, {sql.quote(content)})""")

    def _load(self, store: Store, manifest: Mapping[str, Any], table: str) -> int:
        """COPY a table of a run into its staging table; returns the number of rows."""
        columns = ", ".join(map(_column, schemas(manifest)[table]))
        self.session.execute(f"CREATE UNLOGGED TABLE {self.name(_staging(table))} ({columns})")
        n_rows = self.session.copy(rows(store, manifest, table), self.schema, _staging(table))
        expected = published_rows(manifest, table)
        if n_rows != expected:
            raise StoreError(
                f"found {n_rows} rows in {table}, expected {expected}, as the manifest says"
            )
        log.info("%s: %d rows loaded", table, n_rows)
        return n_rows

    def remove_staging(self) -> None:
        """Drop the staging tables, also those that an interrupted delivery left."""
        for table in TABLES:
            self.session.execute(f"DROP TABLE IF EXISTS {self.name(_staging(table))}")


def _staging(table: str) -> str:
    return f"{table}__staging"


def _column(field: pa.Field) -> str:
    return f"{sql.name(field.name)} {SQL_TYPES[field.type]}{'' if field.nullable else ' NOT NULL'}"


def _list(columns: list[tuple[str, str]]) -> str:
    return ", ".join(" ".join(column) for column in columns)
