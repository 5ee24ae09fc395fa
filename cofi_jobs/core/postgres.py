"""A session with PostgreSQL through ADBC: rows as Arrow, errors without passwords."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, urlsplit

import pyarrow as pa

from cofi_jobs.core.credentials import hide, secrets_in_environment
from cofi_jobs.core.errors import DataError, SettingsError
from cofi_jobs.core.extras import extra

with extra("postgres"):
    from adbc_driver_manager import dbapi as adbc
    from adbc_driver_postgresql import dbapi as driver

ADDRESS = "postgresql://user:password@host:5432/database"
# Classes of SQLSTATE of errors that may pass: connection, deadlock, resources, locks, shut-down,
# system.
PASSING = ("08", "40", "53", "55", "57", "58")


class Session:
    """One connection. Each statement is a transaction of its own, except within `transaction`."""

    def __init__(self, connection: adbc.Connection) -> None:
        self.connection = connection

    def execute(self, statement: str) -> None:
        """Run a statement that gives no rows."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def rows(self, query: str) -> list[Any]:
        """All rows of a query."""
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    @contextmanager
    def reader(self, query: str) -> Iterator[pa.RecordBatchReader]:
        """A query's rows, batch by batch."""
        with self.connection.cursor() as cursor:
            cursor.execute(query)
            with cursor.fetch_record_batch() as reader:
                yield reader

    def copy(self, reader: pa.RecordBatchReader, schema: str, table: str) -> int:
        """Append Arrow batches by COPY, columns matched by name; returns how many rows."""
        with self.connection.cursor() as cursor:
            return cursor.adbc_ingest(table, reader, mode="append", db_schema_name=schema)

    @contextmanager
    def transaction(self, characteristics: str = "") -> Iterator[None]:
        """All statements within count, or none does; `characteristics` as in SET TRANSACTION."""
        self.connection.adbc_connection.set_autocommit(False)
        try:
            if characteristics:
                self.execute(f"SET TRANSACTION {characteristics}")
            yield
            self.connection.commit()
        except BaseException:
            with suppress(adbc.Error):  # the connection may be gone, and the transaction with it
                self.connection.rollback()
            raise
        finally:
            with suppress(adbc.Error):
                self.connection.adbc_connection.set_autocommit(True)


@contextmanager
def session(variable: str, address: str) -> Iterator[Session]:
    """A session with the database at an address, which came from an environment variable.

    Raises SettingsError for an address that libpq would misread, DataError where the database
    refuses a statement, and ConnectionError where trying again may help.
    """
    if not _is_address(address):
        raise SettingsError(
            f"{variable} holds no address of a PostgreSQL database, expected {ADDRESS} with "
            "every special character "
            "of the password percent-encoded; it is not shown, for it may hold a password"
        )
    try:
        with driver.connect(address, autocommit=True) as connection:
            yield Session(connection)
    except adbc.Error as error:
        state, message = error.sqlstate, hide(_sentence(str(error)), secrets_in_environment())
        kind = ConnectionError if state is None or state.startswith(PASSING) else DataError
        raise kind(
            f"the database of {variable}: {message}" + (f" (SQLSTATE {state})" if state else "")
        ) from None


def uri(address: str, schema: str, table: str) -> str:
    """A table of the database at an address, as AIP-60 names it for lineage: without the login."""
    parts = urlsplit(address)
    server, database = parts.netloc.rpartition("@")[2] or "localhost", parts.path.strip("/")
    return f"postgres://{server}/{database}/{quote(schema, safe='')}/{quote(table, safe='')}"


def _is_address(address: str) -> bool:
    """Whether it is a URI in which no part of a password can be misread and shown in an error."""
    try:
        parts = urlsplit(address)
        port = parts.port  # raises for text
    except ValueError:
        return False
    elsewhere = parts.path + parts.query + parts.fragment
    return (
        parts.scheme in ("postgresql", "postgres")
        and port != 0
        and parts.netloc.count("@") <= 1
        and not parts.fragment
        and "@" not in elsewhere
    )


def _sentence(text: str) -> str:
    """The one line of an error that says what is wrong."""
    match = re.search(r"(?:ERROR|FATAL):\s+(.+)", text) or re.search(
        r"(?:Failed to connect: |: )(.+)", text
    )
    return (match[1] if match else text).strip()
