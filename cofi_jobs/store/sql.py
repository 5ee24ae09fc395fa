"""A DuckDB connection for one task: bounded memory, spilling to the store's disk, time in UTC."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from cofi_jobs.core import ids
from cofi_jobs.core.errors import DataError
from cofi_jobs.core.machine import cores
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.layout import SPILL
from cofi_jobs.store.paths import readable_path

# zstd at its first level: files hardly larger than at its usual one, in clearly less time
ROW_GROUP = 122_880  # rows
PARQUET = f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP}"
WILDCARDS = re.compile(r"[*?\[]")
NO_FOLDERS = {"hive_partitioning": "false"}


@contextmanager
def connect(settings: Settings, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that spills into `folder` beyond its limit; leaves nothing there.

    Raises OSError if DuckDB cannot keep its files there.
    """
    spill = folder / SPILL
    try:
        with duckdb.connect() as connection:
            connection.execute(f"SET memory_limit = '{settings.memory_limit_mb}MB'")
            connection.execute(f"SET temp_directory = {quote(str(spill))}")
            connection.execute("SET TimeZone = 'UTC'")
            # It would write to standard output, terminal or not.
            connection.execute("SET enable_progress_bar = false")
            connection.execute(f"SET threads = {settings.threads or cores()}")
            connection.execute(ids.MACRO)
            yield connection
    except duckdb.FatalException as error:
        raise OSError(f"DuckDB could not keep its files in {spill}: {_reason(error)}") from None
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def unreadable(path: Path, error: duckdb.Error, kind: str) -> DataError | duckdb.FatalException:
    """What to raise where DuckDB cannot read a file as ratings, or of what kind else it should be.

    That is the error itself if it is of DuckDB's own files.
    """
    if isinstance(error, duckdb.FatalException):
        return error
    return DataError(f"{path} cannot be read as {kind}: {_reason(error)}")


def _reason(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]  # without the stack that may follow


def attach(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """A database of this name in a file where the connection spills, removed with the connection.

    Its tables are compressed and may be larger than memory, at less than what spilling costs.
    """
    folder = spill_folder(connection)
    for leftover in folder.glob(f"{name}.duckdb*"):  # by one that was killed
        leftover.unlink()
    connection.execute(f"ATTACH {quote(f'{folder}/{name}.duckdb')} AS {name}")


def spill_folder(connection: duckdb.DuckDBPyConnection) -> Path:
    """Where the connection spills. What is put there goes with the connection."""
    [(folder,)] = connection.execute("SELECT current_setting('temp_directory')").fetchall()
    Path(folder).mkdir(exist_ok=True)
    return Path(folder)


def quote(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def name(text: str) -> str:
    """A text as an SQL identifier."""
    return '"' + text.replace('"', '""') + '"'


def file(path: Path) -> str:
    """A path as an SQL string that names this one file: * ? and [ in it are no wildcards.

    Raises DataError for a path that cannot be read.
    """
    return quote(WILDCARDS.sub(r"[\g<0>]", readable_path(path)))


def parquet(paths: Sequence[Path], **options: str) -> str:
    """Parquet files as a table in SQL, in this order. `options` are those of read_parquet."""
    listed = ", ".join(map(file, paths))
    return f"read_parquet([{listed}], {_listed(options)})"


def csv(path: Path, options: Mapping[str, str]) -> str:
    """A text file as a table in SQL. `options` are those of read_csv."""
    return f"read_csv({file(path)}, {_listed(options)})"


def json_objects(path: Path, options: Mapping[str, str]) -> str:
    """The values of a JSON file as a table in SQL. `options` are those of read_json_objects."""
    return f"read_json_objects({file(path)}, {_listed(options)})"


def _listed(options: Mapping[str, str]) -> str:
    # DuckDB would make a column of each folder whose name is like date=2024-06-01.
    return ", ".join(f"{key} = {value}" for key, value in {**options, **NO_FOLDERS}.items())


def write_parquet(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> int:
    """Write a query's rows to a Parquet file in the query's order; returns how many."""
    copy = f"COPY ({query}) TO {quote(readable_path(path))} ({PARQUET})"
    return connection.execute(copy).fetchall()[0][0]
