"""Parquet by Arrow, as it is written and read here: each page has a checksum, which is verified.

All tables of a store go through this module, or through sql.py where DuckDB reads or writes them.
DuckDB 2.0 neither writes nor verifies checksums of pages: digests.py has what holds for its files.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.parquet import FileMetaData, ParquetFile, ParquetWriter

if TYPE_CHECKING:
    from pyarrow.dataset import ParquetFileFormat

__all__ = ["FileMetaData", "ParquetFile", "ParquetWriter"]

COMPRESSION = "zstd"


def is_of_system(error: Exception) -> bool:
    """Whether it is an error of the system, not of Arrow: the disk fails, a file is gone."""
    return getattr(error, "errno", None) is not None


class UnreadableError(Exception):
    """Arrow cannot read a file; what it says, in one line."""


@contextmanager
def reading() -> Iterator[None]:
    """Raise UnreadableError for what Arrow cannot read; errors of the system pass."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if is_of_system(error):
            raise
        raise UnreadableError(" ".join(str(error).split())) from None


def read_table(source: Path | IO[bytes], columns: list[str] | None = None) -> pa.Table:
    """The whole table, or some of its columns."""
    return pq.read_table(source, columns=columns, page_checksum_verification=True)


def open_file(source: Path | IO[bytes]) -> ParquetFile:
    """A file to read in parts.

    Not buffered in advance if it is here: Arrow would keep all that it has read until the end.
    """
    return ParquetFile(
        source, page_checksum_verification=True, pre_buffer=not isinstance(source, Path)
    )


def read_rows(file: ParquetFile, columns: list[str], rows: slice) -> pa.Table:
    """Neighbouring rows of a file; only the row groups that hold some of them are read."""
    sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    ends = list(accumulate(sizes))
    groups = [
        number
        for number, end in enumerate(ends)
        if end > rows.start and end - sizes[number] < rows.stop
    ]
    before = ends[groups[0]] - sizes[groups[0]] if groups else 0
    table = file.read_row_groups(groups, columns=columns)
    return table.slice(rows.start - before, rows.stop - rows.start)


def read_metadata(path: Path) -> FileMetaData:
    """The footer: rows, row groups, bounds."""
    return pq.read_metadata(path)


def read_columns(path: Path) -> list[str]:
    """The names of the columns."""
    return pq.read_schema(path).names


def file_format() -> "ParquetFileFormat":
    """The format of the files of a dataset."""
    import pyarrow.dataset as ds  # here: it imports pandas

    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    return ds.ParquetFileFormat(default_fragment_scan_options=options)


def write_table(
    table: pa.Table, path: Path, compression: str = COMPRESSION, **options: Any
) -> None:
    """Write a file at once. `options` are those of pyarrow."""
    pq.write_table(table, path, compression=compression, write_page_checksum=True, **options)


def write_tables(
    tables: Iterable[pa.Table],
    path: Path,
    row_group_size: int,
    compression: str = COMPRESSION,
    **options: Any,
) -> None:
    """Write tables, at least one, one below the other. `options` are those of pyarrow."""
    with table_writer(path, row_group_size, compression, **options) as write:
        for table in tables:
            write(table)


@contextmanager
def table_writer(
    path: Path, row_group_size: int, compression: str = COMPRESSION, **options: Any
) -> Iterator[Callable[[pa.Table], None]]:
    """A function that writes a table below those before it; the first one brings the schema."""
    with ExitStack() as stack:
        file: ParquetWriter | None = None

        def write(table: pa.Table) -> None:
            nonlocal file
            if file is None:
                file = stack.enter_context(writer(path, table.schema, compression, **options))
            file.write_table(table, row_group_size)

        yield write


def writer(
    path: Path, schema: pa.Schema, compression: str = COMPRESSION, **options: Any
) -> ParquetWriter:
    """Writes a file in parts. `options` are those of pyarrow."""
    return ParquetWriter(path, schema, compression=compression, write_page_checksum=True, **options)
