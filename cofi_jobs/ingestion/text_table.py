"""A text file as a table in DuckDB, of one record a line.

Lines of another shape are among the lines of rejects.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cofi_jobs.ingestion import rejects
from cofi_jobs.ingestion.clean_text import clean_text
from cofi_jobs.ingestion.packed import compression
from cofi_jobs.ingestion.records import Shape
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql


@dataclass(frozen=True)
class TextTable:
    """How DuckDB reads a text file, which is clean (see clean_text.py).

    `path` is the file or a clean copy of it. `longest` is a bound in bytes for the longest line, 0
    if no line is longer than what DuckDB allows by itself.
    """

    path: Path
    columns: tuple[str, ...]
    separator: str
    header: bool
    quote: str
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
            "encoding": "'utf-8'",
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
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    columns: tuple[str, ...],
    separator: str,
    header: bool,
    quote: str,
    settings: Settings,
) -> TextTable:
    """A text file as a table. Raises DataError if the file cannot be read as text."""
    connection.execute(rejects.NONE_KEPT_OUT)
    shape = Shape(separator, len(columns), quote)
    text = clean_text(connection, path, shape, header, settings)
    return TextTable(text.path, columns, separator, header, quote, text.longest)
