"""The records of a JSON file, one a row, in SQL: JSON lines, an array, or objects in a row.

Lines are read as text, so that a broken line is a bad record among good ones. An array, on one line
or many, and objects over several lines are read by DuckDB, a few megabytes at a time; where they
are broken, the start of the next record is unknown, so nothing is taken.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion.clean_text import utf8_text
from cofi_jobs.ingestion.packed import compression, extension, open_unpacked
from cofi_jobs.ingestion.text_lines import first_line, read_encoding
from cofi_jobs.ingestion.text_table import text_table
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql

EXTENSIONS = (".jsonl", ".ndjson", ".json")
LINES, ARRAY, OBJECTS = "lines", "array", "unstructured"  # the last two as DuckDB calls them
START = 1 << 16  # bytes that show which it is
NO_SEPARATOR = "\x01"  # JSON escapes it, so a line is one cell
MOST_KEYS = 10_000
MOST_SHAPES = 1000


def is_json(path: Path) -> bool:
    """Whether a text file has JSON, by its name or its first line."""
    if extension(path) in EXTENSIONS:
        return True
    line, _ = first_line(path, read_encoding(path, "auto"))
    return re.match(r'\s*\[?\s*\{\s*("|$)', line) is not None


def layout(path: Path) -> str:
    """How a JSON file holds its records: LINES, ARRAY or OBJECTS."""
    encoding = read_encoding(path, "auto")
    with open_unpacked(path) as file:
        return _layout(encoding.decoder().decode(file.read(START)).lstrip())


def _layout(start: str) -> str:
    if start.startswith("["):
        return ARRAY if start[1:].lstrip()[:1] in ("{", "]", "") else LINES
    try:
        _, end = json.JSONDecoder().raw_decode(start)
    except RecursionError:
        return LINES
    except ValueError:
        # The first line is cut, or the object goes on below.
        end_of_line = start.partition("\n")[0].rstrip()[-1:]
        return OBJECTS if start.startswith("{") and end_of_line in ("{", "[", ",") else LINES
    goes_on = start[end:].lstrip(" \t")[:1] == "{"
    return OBJECTS if goes_on or "\n" in start[:end] else LINES


@dataclass(frozen=True)
class JsonRecords:
    """Records in SQL.

    table  has columns `record`, the text, and `object`, the same, NULL if it is no JSON object
    what   what a record is called
    """

    table: str
    what: str

    def shapes(
        self, connection: duckdb.DuckDBPyConnection, path: Path, is_known: Callable[[str], bool]
    ) -> tuple[list[str], list[list[str]]]:
        """All keys of the file's objects, and the sets of known keys that objects have together.

        Raises DataError if there are very many, or if the file is broken.
        """
        try:
            return self._shapes(connection, path, is_known)
        except duckdb.Error as error:
            raise sql.unreadable(path, error, "JSON") from None

    def _shapes(
        self, connection: duckdb.DuckDBPyConnection, path: Path, is_known: Callable[[str], bool]
    ) -> tuple[list[str], list[list[str]]]:
        rows = connection.execute(f"""
            SELECT DISTINCT unnest(json_keys(object)) FROM {self.table}
            LIMIT {MOST_KEYS + 1}""").fetchall()
        if len(rows) > MOST_KEYS:
            raise DataError(f"{path}: found more than {MOST_KEYS} different keys, expected fewer")
        keys = sorted(key for (key,) in rows)
        known = known_keys("object", [key for key in keys if is_known(key)])
        shapes = connection.execute(f"""
            SELECT DISTINCT list_sort(list_distinct({known})) FROM {self.table}
            WHERE object IS NOT NULL LIMIT {MOST_SHAPES}""").fetchall()
        return keys, sorted(shape for (shape,) in shapes)


def json_records(
    connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings
) -> JsonRecords:
    """The records of a JSON file."""
    how = layout(path)
    if how == LINES:
        lines = text_table(connection, path, ("c0",), NO_SEPARATOR, False, "", settings)
        records = f"SELECT c0 AS record FROM {lines.relation()} WHERE trim(c0) != ''"
    else:
        documents = _documents(utf8_text(connection, path, settings), how)
        records = f"SELECT json::VARCHAR AS record FROM {documents}"
    is_object = "CASE WHEN json_type(record) = 'OBJECT' THEN record END"
    table = (
        f"(SELECT *, CASE WHEN json_valid(record) THEN {is_object} END AS object FROM ({records}))"
    )
    return JsonRecords(table, "line" if how == LINES else "value")


def _documents(path: Path, how: str) -> str:
    return sql.json_objects(
        path, {"format": sql.quote(how), "compression": sql.quote(compression(path))}
    )


def known_keys(json_object: str, keys: Sequence[str]) -> str:
    """Those of the keys that an object has, as often as it has them, in SQL."""
    listed = ", ".join(map(sql.quote, keys)) or "NULL"
    return f"list_filter(json_keys({json_object}), lambda key: key IN ({listed}))"


def pointer(key: str) -> str:
    """The JSON pointer to a key's value, as an SQL string."""
    return sql.quote("/" + key.replace("~", "~0").replace("/", "~1"))
