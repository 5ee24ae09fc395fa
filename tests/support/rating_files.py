"""Rating files in several formats, and what the readers give for them."""

import atexit
import functools
import gzip
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from duckdb import DuckDBPyConnection

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion.catalogue import catalogue
from cofi_jobs.ingestion.formats import rating_file
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import sql

Row = tuple[str | None, ...]


def write(path: Path, content: str | bytes) -> Path:
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@functools.cache
def connection() -> DuckDBPyConnection:
    """One for all files: to open it takes longer than to read most of them."""
    opened = ExitStack()
    atexit.register(opened.close)
    folder = opened.enter_context(TemporaryDirectory(prefix="cofi-files-"))
    return opened.enter_context(sql.connect(load_settings(), Path(folder)))


def read(
    path: Path,
    columns: str = "user_id, item_id, rating, timestamp",
    overrides: Sequence[str] = (),
) -> list[Row]:
    query = rating_file(connection(), path, load_settings(overrides)).query
    return connection().execute(f"SELECT {columns} FROM ({query})").fetchall()


def read_catalogue(path: Path, *overrides: str) -> list[Row]:
    query = catalogue(connection(), path, load_settings(overrides))
    return connection().execute(f"SELECT item_id, title, groups FROM ({query})").fetchall()


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(DataError) as caught:
        read(path, overrides=overrides)
    assert str(path) in str(caught.value)
    return str(caught.value)


CSV = "userId,movieId,rating,timestamp\n7,42,3.5,978300760\n8,43,4,978300761\n"


ROWS = [("7", "42", "3.5", "978300760"), ("8", "43", "4", "978300761")]


JSON_ROWS = [
    {"userId": 7, "movieId": 42, "rating": 3.5, "timestamp": 978300760},
    {"userId": "8", "timestamp": "978300761", "movieId": "43", "rating": "4", "more": [1]},
]


JSON = "".join(json.dumps(row) + "\n" for row in JSON_ROWS)
