"""The entry to the readers of rating files: the first bytes of a file tell its format."""

from pathlib import Path

import duckdb

from cofi_jobs.ingestion import csv_files, json_lines, json_records, parquet_files
from cofi_jobs.ingestion.packed import is_parquet
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.settings.fields import Settings


def rating_file(
    connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings
) -> RatingFile:
    """How to read a file of ratings.

    Raises DataError if it cannot be read as ratings, naming the columns found.
    """
    if is_parquet(path):
        return parquet_files.ratings(connection, path, settings)
    if json_records.is_json(path):
        return json_lines.ratings(connection, path, settings)
    return csv_files.ratings(connection, path, settings)


def is_text(path: Path) -> bool:
    """Whether the file is read line by line. If so, rejects.py has its malformed lines."""
    if is_parquet(path):
        return False
    return not json_records.is_json(path) or json_records.layout(path) == json_records.LINES
