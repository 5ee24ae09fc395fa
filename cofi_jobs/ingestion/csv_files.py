"""CSV-like files: separated by commas, tabs, semicolons, bars or "::".

Those of MovieLens without a header too.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion import rating_file
from cofi_jobs.ingestion.columns import is_known, unique
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.ingestion.text_encoding import BROKEN, UTF8
from cofi_jobs.ingestion.text_lines import CUT, LONGEST_HEADER, first_line, read_encoding
from cofi_jobs.ingestion.text_table import TextTable, text_table
from cofi_jobs.settings.fields import Settings

SEPARATORS = (",", "\t", ";", "|")
MOST_COLUMNS = 10_000
# A cell that is no name of a column: a number, an id of many digits, a day, an address, a UUID.
DATA = re.compile(
    r"[+-]?[0-9][0-9 .,]*|.*[0-9]{4}.*|.*[0-9]-[0-9].*|.*@.*|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}"
)
# MovieLens 100k, u.item: separated by bars, no header; the last 19 columns are flags, one for each
# genre.
U_ITEM_GENRES = tuple(
    "unknown,Action,Adventure,Animation,Children,Comedy,Crime,Documentary,Drama,Fantasy,Film-Noir,"
    "Horror,Musical,Mystery,Romance,Sci-Fi,Thriller,War,Western".split(",")
)
U_ITEM_COLUMNS = ("item_id", "title", "release", "video", "url", *U_ITEM_GENRES)


@dataclass(frozen=True)
class Layout:
    """What the first line of a CSV-like file shows; see TextTable."""

    columns: tuple[str, ...]
    separator: str
    header: bool
    quote: str


def ratings(connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings) -> RatingFile:
    """How to read the ratings of a CSV-like file.

    Raises DataError if it has no columns of ratings.
    """
    table = csv_table(connection, path, ("user_id", "item_id", "rating", "timestamp"), settings)
    return rating_file.of_columns(
        path, table.relation(), table.columns, settings, table.separator, table
    )


def csv_table(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    headless: tuple[str, ...],
    settings: Settings,
) -> TextTable:
    """A CSV-like file as a table.

    `headless` are the columns of a MovieLens file without a header.
    """
    line, _ = first_line(path, read_encoding(path, settings.encoding))
    if line.endswith(CUT):
        raise DataError(
            f"{path}: found a first line of more than {LONGEST_HEADER:,} characters, "
            "expected the names of columns"
        )
    first = layout(path, line, headless, settings)
    table = text_table(
        connection, path, first.columns, first.separator, first.header, first.quote, settings
    )
    if BROKEN in line:  # the encoding is known only now
        line, _ = first_line(table.path, UTF8)
        table = replace(table, columns=layout(path, line, headless, settings).columns)
    return table


def layout(path: Path, line: str, headless: tuple[str, ...], settings: Settings) -> Layout:
    """What the first line of a file shows.

    Raises DataError if it is no header, unless the file looks like one of MovieLens.
    """
    separator = "::" if "::" in line else max(SEPARATORS, key=line.count)
    if separator == "|" and line.count("|") == len(U_ITEM_COLUMNS) - 1:
        return Layout(U_ITEM_COLUMNS, separator, header=False, quote="")
    cells = _cells(line, separator)
    if len(cells) > MOST_COLUMNS:
        raise DataError(f"{path}: found {len(cells):,} columns, expected at most {MOST_COLUMNS:,}")
    quote = "" if separator == "::" else '"'
    if is_header(cells, settings):
        return Layout(unique(cells), separator, header=True, quote=quote)
    is_movielens = separator == "::" or (separator == "\t" and all(map(_is_number, cells)))
    if is_movielens and len(cells) <= len(headless):
        return Layout(headless[: len(cells)], separator, header=False, quote="")
    raise DataError(
        f"{path}: found no header, the first line has data; expected the names of the columns "
        f"there, such as {separator.join(headless)}"
    )


def is_header(cells: Sequence[str], settings: Settings) -> bool:
    """Whether the cells of a first line are names of columns.

    They are if two are known names, or none looks like data: a film may be called "Time".
    """
    n_known = sum(is_known(cell, settings) for cell in cells)
    return n_known > 1 or not any(map(DATA.fullmatch, cells))


def _cells(line: str, separator: str) -> tuple[str, ...]:
    if separator == "::":
        return tuple(cell.strip() for cell in line.split(separator))
    return tuple(cell.strip() for cell in next(csv.reader([line], delimiter=separator), [""]))


def _is_number(text: str) -> bool:
    return text.replace(".", "").isdigit()
