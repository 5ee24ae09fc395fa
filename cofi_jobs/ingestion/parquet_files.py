"""Parquet files: columns of any type, read as text."""

from pathlib import Path

import duckdb

from cofi_jobs.ingestion import rating_file
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql

EXTENSIONS = (".parquet", ".pq")


def ratings(connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings) -> RatingFile:
    """How to read the ratings of a Parquet file.

    Raises DataError if it has no columns of ratings.
    """
    return rating_file.of_columns(path, *parquet_table(connection, path), settings)


def parquet_table(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, tuple[str, ...]]:
    """The file as a table in SQL, and its columns."""
    table = sql.parquet([path])
    types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {table}").fetchall()}
    # pandas writes a missing whole number as NaN.
    without_nan = ", ".join(
        f"nullif({sql.name(column)}, 'nan') AS {sql.name(column)}"
        for column, kind in types.items()
        if kind in ("DOUBLE", "FLOAT")
    )
    relation = f"(SELECT * REPLACE ({without_nan}) FROM {table})" if without_nan else table
    return relation, tuple(types)
