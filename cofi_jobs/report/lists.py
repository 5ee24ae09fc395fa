"""Passes over the lists of all users, some files at a time.

DuckDB keeps the footers of all files of a query, and the files grow in number with the users.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pandas as pd

from cofi_jobs.store import sql

FILES_AT_ONCE = 16


def tables_of(paths: Sequence[Path]) -> list[str]:
    """Parquet files as tables in SQL, each of some neighbouring files."""
    return [
        sql.parquet(paths[first : first + FILES_AT_ONCE])
        for first in range(0, len(paths), FILES_AT_ONCE)
    ]


def counts(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[str], value: str
) -> "pd.Series[int]":
    """How many rows the tables, at least one, have of each value of an SQL expression."""
    parts = (
        connection.execute(f"SELECT {value} AS value, count(*) AS n FROM {table} GROUP BY value")
        .df()
        .set_index("value")["n"]
        for table in tables
    )
    return functools.reduce(lambda total, part: total.add(part, fill_value=0), parts)
