"""The entry to the readers of rating files: the first bytes of a file tell its format."""

from collections.abc import Callable
from pathlib import Path

import duckdb

from cofi_jobs.ingestion import csv_files, json_files, json_records, parquet_files
from cofi_jobs.ingestion.packed import is_parquet
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.ingestion.rejects import forget_rejects
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql

Reader = Callable[[duckdb.DuckDBPyConnection, Path, Settings], RatingFile]


def rating_file(
    connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings
) -> RatingFile:
    """How to read a file of ratings.

    Raises DataError if it cannot be read as ratings, naming the columns found.
    """
    try:
        return _reader(path)(connection, path, settings)
    except duckdb.Error as error:
        raise sql.unreadable(path, error, "ratings") from None


def _reader(path: Path) -> Reader:
    if is_parquet(path):
        return parquet_files.ratings
    return json_files.ratings if json_records.is_json(path) else csv_files.ratings


def peek(
    connection: duckdb.DuckDBPyConnection, path: Path, query: str
) -> list[tuple[float, ...]] | None:
    """The rows of a query over a file that is read later; its malformed lines are forgotten.

    None if it cannot be read: reading all rows will say what is wrong.
    """
    try:
        return connection.execute(query).fetchall()
    except duckdb.Error:
        return None
    finally:
        forget_lines(connection, path)


def forget_lines(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Forget the malformed lines of a file that was read, so that the next one starts with none."""
    if is_text(path):
        forget_rejects(connection)


def is_text(path: Path) -> bool:
    """Whether the file is read line by line. If so, rejects.py has its malformed lines."""
    if is_parquet(path):
        return False
    return not json_records.is_json(path) or json_records.layout(path) == json_records.LINES
