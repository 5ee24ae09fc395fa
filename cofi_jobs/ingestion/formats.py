"""The entry to the readers of rating files: the name of a file tells its format."""

from pathlib import Path

import duckdb

from cofi_jobs.ingestion import csv_files, json_lines, json_records, parquet_files
from cofi_jobs.ingestion.packed import extension
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.settings.fields import Settings


def rating_file(
    connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings
) -> RatingFile:
    """How to read a file of ratings.

    Raises DataError if it cannot be read as ratings, naming the columns found.
    """
    if extension(path) in parquet_files.EXTENSIONS:
        return parquet_files.ratings(connection, path, settings)
    if extension(path) in json_lines.EXTENSIONS:
        return json_lines.ratings(connection, path, settings)
    return csv_files.ratings(path, settings)


def is_text(path: Path) -> bool:
    """Whether the file is read line by line. If so, reject_errors has its malformed lines."""
    is_json = extension(path) in json_lines.EXTENSIONS
    return extension(path) not in parquet_files.EXTENSIONS and not (
        is_json and json_records.layout(path) != json_records.LINES
    )
