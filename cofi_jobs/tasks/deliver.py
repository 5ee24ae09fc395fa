"""Deliver: the lists of the run that readers use, as tables in PostgreSQL.

In a schema of their own: TABLES, and `run` with one row, which says whose lists they are. Each is loaded by COPY into a
staging table; one transaction then deletes the old rows and inserts the new ones. So a reader's snapshot, at whatever
isolation level, has one whole run; nobody waits for a lock; and the tables stay what they are, with the grants on them
and the views of them. Other ways to swap do not keep all of that: TRUNCATE and DROP lock readers out and empty what
older snapshots see, and so do renames and new partitions for a statement that was planned before and runs after.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from cofi_jobs.core import postgres
from cofi_jobs.core.credentials import DATABASE
from cofi_jobs.core.errors import DataError, SettingsError, StoreError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import schemas as tables
from cofi_jobs.store import sql
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

KEYS = {
    "recommendations": ("user_id", "rank"),
    "similar_items": ("item_id", "rank"),
    "popular_items": ("rank",),
}
TABLES = tuple(KEYS)
SQL_TYPES = {pa.int64(): "bigint", pa.int32(): "integer", pa.float32(): "real", pa.string(): "text"}
BATCH_ROWS = 65_536


def schemas(manifest: Mapping[str, Any]) -> dict[str, pa.Schema]:
    """Arrow schema of each table of a published run."""
    user_id, item_id = (
        tables.ID_TYPES[manifest["id_types"][column]] for column in ("user_id", "item_id")
    )
    measure = "distance" if manifest["settings"]["similarity"] == "distance" else "similarity"
    return {
        "recommendations": tables.recommendations(user_id, item_id),
        "similar_items": tables.similar_items(item_id, measure),
        "popular_items": tables.popular_items(item_id),
    }


def content(manifest: Mapping[str, Any]) -> str:
    """What tells one delivery from another: a digest of the published files of the tables."""
    files = [file for file in manifest["files"] if file["path"].split("/")[0] in TABLES]
    return hashlib.sha256(
        "".join(f"{file['path']} {file['sha256']}\n" for file in files).encode()
    ).hexdigest()


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Deliver the run that readers of the store use now, whichever run this task is of.

    So a late or repeated task never puts an older run in the place of a newer one. Raises SettingsError without an
    address, DataError if the database refuses a statement, ConnectionError if it cannot be reached.
    """
    address = os.environ.get(DATABASE)
    if not address:
        raise SettingsError(
            f"found no {DATABASE}, expected the address of a database: {postgres.ADDRESS}"
        )
    with postgres.session(DATABASE, address) as session:
        target = Target(session, settings.deliver_schema)
        with target.lock():
            key = store.current()
            manifest = store.manifest(key) if key else None
            if key is None or manifest is None:
                raise StoreError(f"found no published run in {store.root}, expected one to deliver")
            digest = content(manifest)
            target.create(schemas(manifest))
            if target.delivered() == (key, digest):
                log.info("run %s is delivered already", key)
                rows = 0
            else:
                rows = target.deliver(store, manifest, digest)
            target.remove_staging()
    writes = [postgres.uri(address, settings.deliver_schema, table) for table in TABLES]
    return {"delivered": key, "rows": rows, "writes": writes}


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
        """Held by one delivery to the schema at a time; the server releases it when the session ends, however."""
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
            WHERE attrelid = to_regclass({sql.quote(self.name(table))}) AND attnum > 0 AND NOT attisdropped
            ORDER BY attnum""")

    def delivered(self) -> tuple[str, str] | None:
        """Run key and content of what the tables hold, None before the first delivery."""
        found = self.session.rows(f"SELECT run_key, content FROM {self.name('run')}")
        return found[0] if found else None

    def create(self, wanted: Mapping[str, pa.Schema]) -> None:
        """Make what is missing of the schema. Raises DataError if a table there has other columns than the run's."""
        # Asked first, as CREATE ... IF NOT EXISTS wants the right to create also where there is nothing to do.
        if self.session.rows(
            f"SELECT to_regnamespace({sql.quote(sql.name(self.schema))}) IS NULL"
        ) == [(True,)]:
            self.session.execute(f"CREATE SCHEMA {sql.name(self.schema)}")
        if not self.columns("run"):
            self.session.execute(f"""
                CREATE TABLE {self.name("run")} (run_key text NOT NULL, delivered_at timestamptz NOT NULL,
                    schema_version integer NOT NULL, content text NOT NULL)""")
        for table, schema in wanted.items():
            found, expected = (
                self.columns(table),
                [(field.name, SQL_TYPES[field.type]) for field in schema],
            )
            if not found:
                self._create_table(table, schema)
            elif found == expected[: len(found)]:
                for name, kind in expected[
                    len(found) :
                ]:  # a newer CoFi's: the contract may grow at the end
                    with self.session.transaction():
                        self.session.execute(
                            "SET LOCAL lock_timeout = '5s'"
                        )  # new readers wait behind it
                        self.session.execute(
                            f"ALTER TABLE {self.name(table)} ADD COLUMN {sql.name(name)} {kind}"
                        )
            else:
                raise DataError(
                    f"found the columns {_list(found)} in {self.name(table)}, but the run's {table} have "
                    f"{_list(expected)}; services would break: when they are ready, DROP TABLE {self.name(table)} "
                    "CASCADE, deliver again, and grant anew"
                )

    def _create_table(self, table: str, schema: pa.Schema) -> None:
        key = ", ".join(KEYS[table])
        with self.session.transaction():
            self.session.execute(
                f"CREATE TABLE {self.name(table)} ({', '.join(map(_column, schema))}, PRIMARY KEY ({key}))"
            )
            for field in schema:
                description = sql.quote(field.metadata[b"description"].decode())
                self.session.execute(
                    f"COMMENT ON COLUMN {self.name(table)}.{sql.name(field.name)} IS {description}"
                )
            self.session.execute(
                f"UPDATE {self.name('run')} SET content = ''"
            )  # one of its tables is empty now

    def deliver(self, store: Store, manifest: Mapping[str, Any], digest: str) -> int:
        """Put a run's rows in the place of those that are there, all at once; returns the number of rows."""
        self.remove_staging()
        n_rows = sum(self._load(store, manifest, table) for table in TABLES)
        key = sql.quote(manifest["run_key"])
        with self.session.transaction():
            for table in TABLES:
                columns = ", ".join(sql.name(name) for name in schemas(manifest)[table].names)
                self.session.execute(f"DELETE FROM {self.name(table)}")
                self.session.execute(f"""
                    INSERT INTO {self.name(table)} ({columns})
                    SELECT {columns} FROM {self.name(_staging(table))} ORDER BY {", ".join(KEYS[table])}""")
            self.session.execute(f"DELETE FROM {self.name('run')}")
            self.session.execute(f"""
                INSERT INTO {self.name("run")} (run_key, delivered_at, schema_version, content)
                VALUES ({key}, now(), {manifest["schema_version"]}, {sql.quote(digest)})""")
        log.info(
            "delivered run %s: %d rows into the schema %s", manifest["run_key"], n_rows, self.schema
        )
        for table in TABLES:
            # Room for the next delivery. Not TRUNCATE's way of giving room back, which would lock readers out.
            self.session.execute(f"VACUUM (ANALYZE, TRUNCATE false) {self.name(table)}")
        return n_rows

    def _load(self, store: Store, manifest: Mapping[str, Any], table: str) -> int:
        """COPY a table of a run into its staging table; returns the number of rows."""
        columns = ", ".join(map(_column, schemas(manifest)[table]))
        self.session.execute(f"CREATE UNLOGGED TABLE {self.name(_staging(table))} ({columns})")
        n_rows = self.session.copy(batches(store, manifest, table), self.schema, _staging(table))
        described = sum(
            file["rows"] for file in manifest["files"] if file["path"].split("/")[0] == table
        )
        if n_rows != described:
            raise StoreError(
                f"found {n_rows} rows in {table}, expected {described}, as the manifest says"
            )
        log.info("%s: %d rows loaded", table, n_rows)
        return n_rows

    def remove_staging(self) -> None:
        """Drop the staging tables, also those of a delivery that was broken off."""
        for table in TABLES:
            self.session.execute(f"DROP TABLE IF EXISTS {self.name(_staging(table))}")


def batches(store: Store, manifest: Mapping[str, Any], table: str) -> pa.RecordBatchReader:
    """A table of a run, in the contract's columns; one batch at a time is in memory."""
    schema, folder = schemas(manifest)[table], store.table(manifest["run_key"], table)
    # Files of one user each have the user in their folders' names.
    in_names = (
        ds.partitioning(pa.schema([schema.field("user_id")]), flavor="hive")
        if table == "recommendations"
        else None
    )

    def read() -> Iterator[pa.RecordBatch]:
        for path in sorted(folder.rglob("*.parquet")):
            in_name = (
                ds.get_partition_keys(in_names.parse(str(path.relative_to(folder))))
                if in_names
                else {}
            )
            # Not a scanner of the dataset: that reads ahead of the database as far as it can.
            for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(BATCH_ROWS):
                for name, value in in_name.items():
                    batch = batch.append_column(
                        name, pa.repeat(pa.scalar(value, schema.field(name).type), len(batch))
                    )
                yield batch.select(schema.names).cast(schema)

    return pa.RecordBatchReader.from_batches(schema, read())


def _staging(table: str) -> str:
    return f"{table}__staging"


def _column(field: pa.Field) -> str:
    return f"{sql.name(field.name)} {SQL_TYPES[field.type]}{'' if field.nullable else ' NOT NULL'}"


def _list(columns: list[tuple[str, str]]) -> str:
    return ", ".join(" ".join(column) for column in columns)
