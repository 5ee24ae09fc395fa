"""Readers of rating files and item catalogues, as SQL over one file.

Whatever a file's format, `rating_file` gives the same fields: user_id, item_id, rating, timestamp, op as text exactly
as the file has them (timestamp and op NULL where the file has no such column) and `raw`, the record's text.
"""

import codecs
import csv
import gzip
import io
import json
import logging
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import duckdb
import pyarrow as pa

from cofi_jobs.core.errors import DataError
from cofi_jobs.store import sql

log = logging.getLogger(__name__)

# Accepted column names, compared without case and punctuation; the first is how messages call the column.
RATING_COLUMNS = {
    "user_id": ("userid", "user", "uid", "customerid", "memberid"),
    "item_id": ("itemid", "movieid", "item", "movie", "productid", "iid"),
    "rating": ("rating", "ratings", "stars", "score"),
    "timestamp": ("timestamp", "time", "ts", "datetime", "date", "ratedat", "createdat"),
    "op": ("op", "operation"),
}
CATALOGUE_COLUMNS = {
    "item_id": RATING_COLUMNS["item_id"],
    "title": ("title", "movietitle", "name", "itemname"),
    "groups": ("genres", "genre", "groups", "group", "categories", "category"),
}
ABSENT = "NULL::VARCHAR"
PARQUET = (".parquet", ".pq")
HEAD = 1 << 12  # of a block, in which nearly always a line ends
BLOCK = 1 << 19  # a line of four times this is seen: a block without a line end is within it
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
JSON_LINES = (".jsonl", ".ndjson", ".json")
FORMATS = (
    "CSV (also .tsv, .dat with '::', u.data), JSON lines or Parquet, text files also as .gz or .zst"
)
# MovieLens 100k, u.item: pipe-separated, no header; the last 19 columns are flags, one for each genre.
U_ITEM_GENRES = tuple(
    "unknown,Action,Adventure,Animation,Children,Comedy,Crime,Documentary,Drama,Fantasy,Film-Noir,Horror,Musical,"
    "Mystery,Romance,Sci-Fi,Thriller,War,Western".split(",")
)
U_ITEM_COLUMNS = ("item_id", "title", "release", "video", "url", *U_ITEM_GENRES)


@dataclass(frozen=True)
class TextTable:
    """A text file as DuckDB reads it; lines of another shape go to its table reject_errors.

    `longest` is a bound in bytes for the longest line, 0 if no line is longer than what DuckDB allows by itself.
    """

    path: Path
    columns: tuple[str, ...]
    separator: str
    header: bool
    quote: str
    encoding: str
    longest: int

    def relation(self, types: Mapping[str, str] | None = None, **more: str) -> str:
        """The table in SQL, of text columns but for those whose types are given; `more` are options of read_csv."""
        types = dict.fromkeys(self.columns, "VARCHAR") | dict(types or {})
        options = {
            "columns": "{"
            + ", ".join(f"{sql.quote(column)}: {sql.quote(kind)}" for column, kind in types.items())
            + "}",
            "delim": sql.quote(self.separator),
            "header": str(self.header).lower(),
            "quote": sql.quote(self.quote),
            "escape": sql.quote(self.quote),
            "encoding": sql.quote(self.encoding),
            "compression": sql.quote(_compression(self.path)),
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
        return (
            f"read_csv({sql.file(self.path)}, "
            + ", ".join(f"{key} = {value}" for key, value in options.items())
            + ")"
        )


@dataclass(frozen=True)
class RatingFile:
    """A file of ratings: a table in SQL of its cells, c0, c1 and so on, and what is to be made of them.

    `fields` are expressions for the five text columns, as yet with the blanks around them, and `raw` is one for the
    record's text. `broken` is a condition for records that cannot be taken apart into columns, `row` an expression for
    the number of the row, NULL where rows come in order. `columns` are the file's columns that the fields are taken
    from, and `table` is the file itself where that is a CSV-like text.
    """

    cells: str
    fields: dict[str, str]
    raw: str
    columns: dict[str, str]
    broken: str = "false"
    row: str = "NULL"
    table: TextTable | None = None

    @property
    def timed(self) -> bool:
        """Whether the file has a column of times."""
        return self.fields["timestamp"] != ABSENT

    @property
    def query(self) -> str:
        """SELECT with the five fields, trimmed, and `raw`."""
        trimmed = (
            f"{(clean_id if name.endswith('_id') else clean)(field)} AS {name}"
            for name, field in self.fields.items()
        )
        return f"SELECT {', '.join(trimmed)}, {self.raw} AS raw FROM {self.cells}"


@dataclass(frozen=True)
class Layout:
    """How a file is read: a table function in SQL, its column names, and the file where that is a text."""

    relation: str
    columns: tuple[str, ...]
    separator: str = ","
    table: TextTable | None = None


def drop_files(folder: Path) -> list[Path]:
    """Files in a drop folder, by name; hidden files and those still being written (.tmp, .part) are left."""
    return sorted(path for path in folder.iterdir() if path.is_file() and is_dropped(path.name))


def is_dropped(name: str) -> bool:
    """Whether a file of this name is there to be read: it is not hidden, and not being written."""
    return not name.startswith((".", "_")) and not name.endswith((".tmp", ".part"))


def settled(paths: list[Path], seconds: float) -> list[Path]:
    """Those of the files that nobody is writing any more: unchanged for so many seconds, for which this waits."""
    before = {path: path.stat() for path in paths}
    oldest = time.time() - seconds
    young = {path for path, stat in before.items() if stat.st_mtime > oldest}
    if not young:
        return paths
    newest = max(before[path].st_mtime for path in young)
    time.sleep(min(seconds, newest - oldest))
    now = {path: path.stat() for path in young if path.exists()}
    still = {
        path
        for path in young
        if path not in now
        or (now[path].st_size, now[path].st_mtime_ns)
        != (before[path].st_size, before[path].st_mtime_ns)
    }
    for path in sorted(still):
        log.warning("%s is still being written, so it is left for the next run", path)
    return [path for path in paths if path not in still]


def rating_file(connection: duckdb.DuckDBPyConnection, path: Path) -> RatingFile:
    """How to read a file of ratings.

    Raises DataError if it cannot be read as ratings, naming the columns found.
    """
    is_json = _extension(path) in JSON_LINES
    table = None
    if is_json:
        columns = _json_keys(path)
        lines = _text_table(path, ("c0",), "\x01", header=False, quote="").relation()
        cells, raw = f"(FROM {lines} WHERE trim(c0) != '')", "c0"
        broken = "CASE WHEN json_valid(c0) THEN json_type(c0) != 'OBJECT' ELSE true END"
    else:
        layout = _layout(connection, path, ("user_id", "item_id", "rating", "timestamp"))
        columns, table, broken = layout.columns, layout.table, "false"
        names = ", ".join(
            f"{sql.name(column)} AS c{number}" for number, column in enumerate(columns)
        )
        texts = ", ".join(
            f"coalesce(CAST(c{number} AS VARCHAR), '')" for number in range(len(columns))
        )
        cells, raw = (
            f"(SELECT {names} FROM {layout.relation})",
            f"concat_ws({sql.quote(layout.separator)}, {texts})",
        )
    chosen = _choose(path, columns, RATING_COLUMNS, required=("user_id", "item_id", "rating"))

    def field(column: str) -> str:
        if column not in chosen:
            return ABSENT
        if is_json:
            key = sql.quote('$."' + chosen[column].replace('"', '\\"') + '"')
            return f"CASE WHEN json_valid(c0) THEN json_extract_string(c0, {key}) END"
        return f"CAST(c{columns.index(chosen[column])} AS VARCHAR)"

    fields = {column: field(column) for column in RATING_COLUMNS}
    return RatingFile(cells, fields, raw, chosen, broken, table=table)


def catalogue(connection: duckdb.DuckDBPyConnection, path: Path) -> str:
    """SELECT with item_id, title and groups (separated by "|"), all text, from a file of items."""
    layout = _layout(connection, path, ("item_id", "title", "groups"))
    if layout.columns == U_ITEM_COLUMNS:
        flags = ", ".join(
            f"CASE WHEN {sql.name(genre)} = '1' THEN '{genre}' END" for genre in U_ITEM_GENRES
        )
        return f"SELECT item_id, title, concat_ws('|', {flags}) AS groups FROM {layout.relation}"
    chosen = _choose(path, layout.columns, CATALOGUE_COLUMNS, required=("item_id", "title"))
    item_id, title = clean_id(sql.name(chosen["item_id"])), clean(sql.name(chosen["title"]))
    groups = clean(sql.name(chosen["groups"])) if "groups" in chosen else ABSENT
    return (
        f"SELECT {item_id} AS item_id, {title} AS title, {groups} AS groups FROM {layout.relation}"
    )


def check_quotes(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise DataError if a quotation mark that is not closed took rows after it: how many good ones is unknown."""
    line = connection.execute(r"""
        SELECT min(line) FROM reject_errors
        WHERE error_type = 'UNQUOTED VALUE' AND trim(csv_line, E'\r\n') LIKE E'%\n%'""").fetchall()[
        0
    ][0]
    if line is not None:
        raise DataError(
            f'{path}: the quotation mark (") that opens in line {line} is not closed there'
        )


def is_empty(path: Path) -> bool:
    """Whether there is nothing in the file, or in what it unpacks to."""
    with open_unpacked(path) as file:
        return not file.read(1)


def is_text(path: Path) -> bool:
    """Whether the file is read line by line (then misshapen lines are in DuckDB's reject_errors)."""
    return _extension(path) not in PARQUET


def clean(expression: str) -> str:
    """A cell's text without the blanks around it."""
    return f"trim(CAST({expression} AS VARCHAR))"


def clean_id(expression: str) -> str:
    """A cell's text as an id; see core/ids.py."""
    return f"clean_id(CAST({expression} AS VARCHAR))"


def _extension(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSIONS]
    return suffixes[-1] if suffixes else ""


def _layout(connection: duckdb.DuckDBPyConnection, path: Path, headless: tuple[str, ...]) -> Layout:
    """How to read a CSV-like or Parquet file. `headless` names the columns of a MovieLens file without a header."""
    if _extension(path) in PARQUET:
        table = f"read_parquet({sql.file(path)})"
        types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {table}").fetchall()}
        # pandas writes a missing whole number as NaN.
        present = [
            f"nullif({sql.name(c)}, 'nan') AS {sql.name(c)}"
            for c in types
            if types[c] in ("DOUBLE", "FLOAT")
        ]
        relation = f"(SELECT * REPLACE ({', '.join(present)}) FROM {table})" if present else table
        return Layout(relation, tuple(types))
    line = _first_line(path)
    if "::" in line:
        separator, header = "::", False
    else:
        separator = max((",", "\t", ";", "|"), key=line.count)
        header = not (separator == "\t" and line.replace("\t", "").replace(".", "").isdigit())
    if separator == "|" and line.count("|") == len(U_ITEM_COLUMNS) - 1:
        columns, header = U_ITEM_COLUMNS, False
    elif header:
        columns = tuple(field.strip() for field in next(csv.reader([line], delimiter=separator)))
    else:
        columns = headless[: line.count(separator) + 1]
    repeated = [
        column for column in set(columns) if columns.count(column) > 1 and _is_known(column)
    ]
    if repeated:
        raise DataError(
            f"{path}: found the column {', '.join(map(repr, sorted(repeated)))} twice, expected it once"
        )
    # Other names that are empty or repeated get one of their own, so that they do not stand in the way.
    columns = tuple(
        c if c and c not in columns[:n] else f"{c} (column {n + 1})" for n, c in enumerate(columns)
    )
    text = _text_table(path, columns, separator, header, quote='"' if header else "")
    return Layout(text.relation(), columns, separator, text)


def _text_table(
    path: Path, columns: tuple[str, ...], separator: str, header: bool, quote: str
) -> TextTable:
    encoding = "utf-8" if _is_utf8(path) else "latin-1"
    return TextTable(path, columns, separator, header, quote, encoding, _longest_line(path))


def _json_keys(path: Path) -> tuple[str, ...]:
    """Keys of the first hundred objects, one a line; broken lines are passed over here and refused later."""
    keys: dict[str, None] = {}
    with open_unpacked(path) as file:
        for _, line in zip(range(100), file, strict=False):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                keys.update(dict.fromkeys(record))
    return tuple(keys)


def _choose(
    path: Path,
    columns: tuple[str, ...],
    accepted: dict[str, tuple[str, ...]],
    required: tuple[str, ...],
) -> dict[str, str]:
    """For each wanted column the file's column that holds it."""
    plain = {_plain(column): column for column in reversed(columns)}
    chosen = {
        wanted: next(plain[name] for name in names if name in plain)
        for wanted, names in accepted.items()
        if any(name in plain for name in names)
    }
    missing = [wanted for wanted in required if wanted not in chosen]
    if missing:
        found = ", ".join(map(repr, columns)) or "none"
        wanted = "; ".join(f"{name}: {', '.join(accepted[name])}" for name in missing)
        raise DataError(
            f"{path}: found the columns {found}, expected one for each of {', '.join(required)} "
            f"({wanted}, written with any case or punctuation); readable are {FORMATS}"
        )
    return chosen


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", column.lower())


def _is_known(column: str) -> bool:
    return any(
        _plain(column) in names for names in [*RATING_COLUMNS.values(), *CATALOGUE_COLUMNS.values()]
    )


def _compression(path: Path) -> str:
    return COMPRESSIONS.get(path.suffix.lower(), "none")


@contextmanager
def open_unpacked(path: Path) -> Iterator[BinaryIO | gzip.GzipFile | io.BufferedReader]:
    """The file's bytes, unpacked. Raises DataError where they cannot be."""
    packed = _compression(path)
    try:
        with (
            gzip.open(path, "rb")
            if packed == "gzip"
            else io.BufferedReader(pa.input_stream(str(path), compression=packed))
            if packed == "zstd"
            else path.open("rb")
        ) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _longest_line(path: Path) -> int:
    """A bound in bytes for the longest line, 0 if there is none of 2 MB, which is what DuckDB allows by itself.

    A packed file is unpacked to its end for this: of one that is damaged or cut DuckDB would take what it gets.
    """
    longest = length = 0
    for has_end, size in _ends_of_lines(path):
        length = 0 if has_end else length + size
        longest = max(longest, length)
    return longest + 2 * BLOCK if longest else 0  # it starts and ends within the blocks around


def _ends_of_lines(path: Path) -> Iterator[tuple[bool, int]]:
    """For each block of the file, unpacked: whether a line ends in it, and its size."""
    if _compression(path) != "none":
        with open_unpacked(path) as file:
            while block := file.read(BLOCK):
                yield b"\n" in block, len(block)
        return
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        for start in range(0, size, BLOCK):
            file.seek(start)
            yield (
                b"\n" in file.read(HEAD) or b"\n" in file.read(BLOCK - HEAD),
                min(BLOCK, size - start),
            )


def _first_line(path: Path) -> str:
    with open_unpacked(path) as file:
        line = file.readline(1 << 20)
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{path}: found text in UTF-16, expected UTF-8")
    return line.decode("utf-8-sig", errors="replace").rstrip("\r\n")


def _is_utf8(path: Path) -> bool:
    """Whether the first megabytes are UTF-8; MovieLens' older files are Latin-1."""
    with open_unpacked(path) as file:
        try:
            file.read(1 << 22).decode("utf-8")
        except UnicodeDecodeError as error:
            return error.reason == "unexpected end of data"
    return True
