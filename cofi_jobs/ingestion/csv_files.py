"""CSV-like files: separated by commas, tabs, semicolons, bars or "::".

Those of MovieLens without a header too.
"""

import codecs
import csv
from pathlib import Path

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion import rating_file
from cofi_jobs.ingestion.columns import unique
from cofi_jobs.ingestion.packed import open_unpacked
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.ingestion.text_table import TextTable, text_table
from cofi_jobs.settings.fields import Settings

SEPARATORS = (",", "\t", ";", "|")
LONGEST_HEADER = 1 << 20  # bytes
# MovieLens 100k, u.item: separated by bars, no header; the last 19 columns are flags, one for each
# genre.
U_ITEM_GENRES = tuple(
    "unknown,Action,Adventure,Animation,Children,Comedy,Crime,Documentary,Drama,Fantasy,Film-Noir,"
    "Horror,Musical,Mystery,Romance,Sci-Fi,Thriller,War,Western".split(",")
)
U_ITEM_COLUMNS = ("item_id", "title", "release", "video", "url", *U_ITEM_GENRES)


def ratings(path: Path, settings: Settings) -> RatingFile:
    """How to read the ratings of a CSV-like file.

    Raises DataError if it has no columns of ratings.
    """
    table = csv_table(path, ("user_id", "item_id", "rating", "timestamp"))
    return rating_file.of_columns(
        path, table.relation(), table.columns, settings, table.separator, table
    )


def csv_table(path: Path, headless: tuple[str, ...]) -> TextTable:
    """A CSV-like file as a table.

    `headless` are the columns of a MovieLens file without a header.
    """
    line = _first_line(path)
    separator = "::" if "::" in line else max(SEPARATORS, key=line.count)
    if separator == "|" and line.count("|") == len(U_ITEM_COLUMNS) - 1:
        return text_table(path, U_ITEM_COLUMNS, separator, header=False, quote="")
    if separator == "::" or (separator == "\t" and _is_number(line.replace("\t", ""))):
        columns = headless[: line.count(separator) + 1]
        return text_table(path, unique(columns), separator, header=False, quote="")
    columns = tuple(field.strip() for field in next(csv.reader([line], delimiter=separator)))
    return text_table(path, unique(columns), separator, header=True, quote='"')


def _is_number(text: str) -> bool:
    return text.replace(".", "").isdigit()


def _first_line(path: Path) -> str:
    with open_unpacked(path) as file:
        line = file.readline(LONGEST_HEADER)
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: found text in UTF-16, expected UTF-8")
    return line.decode("utf-8-sig", errors="replace").rstrip("\r\n")
