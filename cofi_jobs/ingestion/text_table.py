"""A text file as a table in DuckDB, of one record a line.

Lines of another shape go to DuckDB's table reject_errors.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion.packed import compression, open_unpacked
from cofi_jobs.store import sql

BLOCK = 1 << 19  # bytes; a line of four times this has a block within it
BLOCK_START = 1 << 12  # bytes at the start of a block, in which nearly always a line ends
SAMPLE = 1 << 22  # bytes that show the encoding


@dataclass(frozen=True)
class TextTable:
    """How DuckDB reads a text file.

    `longest` is a bound in bytes for the longest line, 0 if no line is longer than what DuckDB
    allows by itself.
    """

    path: Path
    columns: tuple[str, ...]
    separator: str
    header: bool
    quote: str
    encoding: str
    longest: int

    def relation(self, types: Mapping[str, str] | None = None, **more: str) -> str:
        """The table in SQL, of text columns but for those whose types are given.

        `more` are options of read_csv.
        """
        types = dict.fromkeys(self.columns, "VARCHAR") | dict(types or {})
        columns = ", ".join(f"{sql.quote(name)}: {sql.quote(kind)}" for name, kind in types.items())
        options = {
            "columns": "{" + columns + "}",
            "delim": sql.quote(self.separator),
            "header": str(self.header).lower(),
            "quote": sql.quote(self.quote),
            "escape": sql.quote(self.quote),
            "encoding": sql.quote(self.encoding),
            "compression": sql.quote(compression(self.path)),
            "auto_detect": "false",
            "store_rejects": "true",
            **more,
        }
        if self.longest:  # DuckDB skips longer lines silently; its threads mix up their order
            options |= {
                "max_line_size": str(self.longest),
                "buffer_size": str(2 * self.longest),
                "parallel": "false",
            }
        return sql.csv(self.path, options)


def text_table(
    path: Path, columns: tuple[str, ...], separator: str, header: bool, quote: str
) -> TextTable:
    """A text file as a table; its encoding and its longest line are found out by reading."""
    encoding = "utf-8" if _is_utf8(path) else "latin-1"
    return TextTable(path, columns, separator, header, quote, encoding, _longest_line(path))


def check_quotes(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise DataError if an unclosed quotation mark took rows after it, nobody knows how many."""
    [(line,)] = connection.execute(r"""
        SELECT min(line) FROM reject_errors
        WHERE error_type = 'UNQUOTED VALUE' AND trim(csv_line, E'\r\n') LIKE E'%\n%'""").fetchall()
    if line is not None:
        raise DataError(
            f'{path}: the quotation mark (") that opens in line {line} is not closed there'
        )


def forget_rejects(connection: duckdb.DuckDBPyConnection) -> None:
    """Empty reject_errors, so that the next file starts with none."""
    connection.execute("DELETE FROM reject_errors")


def _is_utf8(path: Path) -> bool:
    """Whether the first megabytes are UTF-8; MovieLens' older files are Latin-1."""
    with open_unpacked(path) as file:
        try:
            file.read(SAMPLE).decode("utf-8")
        except UnicodeDecodeError as error:
            return error.reason == "unexpected end of data"
    return True


def _longest_line(path: Path) -> int:
    """A bound in bytes for the longest line, 0 if there is none of 2 MB, which DuckDB allows.

    A packed file is unpacked to its end for this: DuckDB would take the start of a file that is cut
    or damaged.
    """
    longest = length = 0
    for has_end, size in _ends_of_lines(path):
        length = 0 if has_end else length + size
        longest = max(longest, length)
    return longest + 2 * BLOCK if longest else 0  # it starts and ends within the blocks around


def _ends_of_lines(path: Path) -> Iterator[tuple[bool, int]]:
    """For each block of the file, unpacked: whether a line ends in it, and its size."""
    if compression(path) != "none":
        with open_unpacked(path) as file:
            while block := file.read(BLOCK):
                yield b"\n" in block, len(block)
        return
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        for start in range(0, size, BLOCK):
            file.seek(start)
            has_end = b"\n" in file.read(BLOCK_START) or b"\n" in file.read(BLOCK - BLOCK_START)
            yield has_end, min(BLOCK, size - start)
