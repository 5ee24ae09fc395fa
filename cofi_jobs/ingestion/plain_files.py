"""Plain files: the short way for large files of numbers, written as they are read.

What a row means is told by its text (`ingest.judged`): only the text tells the id 007 from 7. To DuckDB's reader of
numbers 007, 7.5 and 1e2 are 7, 8 and 100; but it is faster, and its rows need not be kept until all have been seen. So
a file is read as numbers if its bytes show that no number in it is written like that. Lines that do not fit are then
judged by their texts. Where one of them is good all the same, the file is not plain, and is read as text.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np

from cofi_jobs.ingestion.formats import RatingFile, TextTable, open_unpacked
from cofi_jobs.store import sql

SAMPLE = 100_000  # first rows, in which the texts of ratings are found
MOST_TEXTS = 1000  # of ratings
MOST_ODD = 200_000  # lines
ID = "DECIMAL(18, 0)"  # with a comma for its point it refuses 7.5, which BIGINT takes for 8
LATEST = 1e11  # seconds since 1970; a larger number counts milliseconds or less
TOO_LATE = "time is not in seconds"
DIGITS = np.frombuffer(b"0123456789", np.uint8)
BLOCK = 1 << 17  # small enough for the processor's cache


@dataclass(frozen=True)
class Plain:
    """What was taken of a plain file: how many rows, and their lowest and highest rating.

    Of the other lines `odd` has those with all of their columns, and in what the rest is malformed is in DuckDB's
    reject_errors.
    """

    n_taken: int
    low: float
    high: float
    odd: RatingFile


def take(
    connection: duckdb.DuckDBPyConnection, source: RatingFile, low: float, high: float, path: Path
) -> Plain | None:
    """Write the ratings from `low` to `high` of a plain file to `path`; None if the file is not plain.

    Of a plain file ids are integers of up to 18 digits, and times are seconds since 1970 if it has any.
    """
    table = source.table
    if table is None or table.longest or "op" in source.columns:
        return None
    n_lines = count_plain_lines(table)
    texts = _rating_texts(connection, source, low, high) if n_lines else []
    if not texts:
        return None
    try:
        n_taken = sql.write_parquet(connection, _numbers(source, table, texts), path)
    except (
        duckdb.Error
    ):  # such as a time in other units; what else it may be, reading text tells better
        n_taken = 0
    ends_in_separator = f"suffix(trim(csv_line, E'\\r\\n'), {sql.quote(table.separator)})"  # no column follows, in text
    [(n_odd, told_alike)] = connection.execute(f"""
        SELECT count(DISTINCT line), coalesce(bool_and(error_type = 'CAST'
            OR (error_type IN ('MISSING COLUMNS', 'TOO MANY COLUMNS') AND NOT {ends_in_separator})), true)
        FROM reject_errors""").fetchall()
    if not n_taken or n_taken + n_odd != n_lines or not told_alike:
        connection.execute("DELETE FROM reject_errors")
        return None
    low, high = connection.execute(f"""
        SELECT min(stats_min_value::FLOAT), max(stats_max_value::FLOAT)
        FROM parquet_metadata({sql.file(path)}) WHERE path_in_schema = 'rating'""").fetchall()[0]
    return Plain(n_taken, low, high, _odd(source, table))


def count_plain_lines(table: TextTable) -> int:
    """Lines below the header, 0 if one may have a number that is not written as numbers are: 007, 1e2, +7, -0, 1_000.

    Words may stand between separators; quotation marks, blanks and blank lines may not stand anywhere.
    """
    separator = table.separator.encode()
    plain = b"0123456789.-\r\n" + separator
    n_lines, last = 0, b"\n"
    for lines in _blocks_of_lines(table):
        words = lines.translate(None, plain)
        if (words and not words.isalpha()) or (b"-" in lines and b"-0" in lines):
            return 0
        byte = np.frombuffer(b"\n" + lines, np.uint8)
        is_digit = byte - DIGITS[0] < len(DIGITS)
        leading_zero = (
            (byte[1:-1] == DIGITS[0]) & is_digit[2:] & ~is_digit[:-2] & (byte[:-2] != ord("."))
        )
        is_end = byte == ord("\n")
        blank_line = is_end[:-1] & (is_end[1:] | (byte[1:] == ord("\r")))
        if leading_zero.any() or blank_line.any():
            return 0
        if words and (is_digit[:-1] & (byte[1:] > DIGITS[-1]) & (byte[1:] != separator[0])).any():
            return 0
        n_lines += int(np.count_nonzero(is_end[1:]))
        last = lines[-1:]
    return n_lines + (last != b"\n")


def _blocks_of_lines(table: TextTable) -> Iterator[bytes]:
    """The file's whole lines below its header, many at a time."""
    with open_unpacked(table.path) as file:
        if table.header:
            file.readline()
        while block := file.read(BLOCK):
            yield block + file.readline()


def _rating_texts(
    connection: duckdb.DuckDBPyConnection, source: RatingFile, low: float, high: float
) -> list[str]:
    """Texts of good ratings in the first rows; none if there are too many to be listed."""
    rows = connection.execute(f"""
        SELECT DISTINCT text FROM (SELECT {source.fields["rating"]} AS text FROM {source.cells} LIMIT {SAMPLE})
        WHERE try_cast(text AS FLOAT) BETWEEN {low}::FLOAT AND {high}::FLOAT ORDER BY text""").fetchall()
    connection.execute("DELETE FROM reject_errors")
    return [text for (text,) in rows] if len(rows) <= MOST_TEXTS else []


def _numbers(source: RatingFile, table: TextTable, texts: list[str]) -> str:
    """SELECT of the rows of numbers, those whose ratings are written like one of `texts`."""
    user_id, item_id, rating = (source.columns[name] for name in ("user_id", "item_id", "rating"))
    ratings, time = f"ENUM ({', '.join(map(sql.quote, texts))})", "NULL::TIMESTAMPTZ"
    types = {user_id: ID, item_id: ID, rating: ratings}
    if source.timed:
        seconds = sql.name(source.columns["timestamp"])
        types[source.columns["timestamp"]] = ID
        time = f"CASE WHEN abs({seconds}) < {LATEST} THEN to_timestamp({seconds}) ELSE error('{TOO_LATE}') END"
    # An empty cell is no NULL, which would fit.
    relation = table.relation(
        types, decimal_separator="','", nullstr="'\x01'", rejects_limit=str(MOST_ODD)
    )
    return f"""SELECT {sql.name(user_id)}::BIGINT AS user_id, {sql.name(item_id)}::BIGINT AS item_id,
        {sql.name(rating)}::VARCHAR::FLOAT AS rating, {time} AS timestamp FROM {relation}"""


def _odd(source: RatingFile, table: TextTable) -> RatingFile:
    """The lines in reject_errors that have all of their columns, as a file of text."""
    cells = ", ".join(
        f"nullif(cells[{number + 1}], '') AS c{number}" for number in range(len(table.columns))
    )
    lines = f"""
        SELECT {cells}, row FROM (
            SELECT string_split(text, {sql.quote(table.separator)}) AS cells, malformed,
                (line - {int(table.header)} - count(*) FILTER (malformed) OVER (ORDER BY line))::VARCHAR AS row
            FROM (SELECT line, trim(first(csv_line), E'\r\n') AS text, bool_or(error_type != 'CAST') AS malformed
                FROM reject_errors GROUP BY line)
            ORDER BY line)
        WHERE NOT malformed"""
    return replace(source, cells=f"({lines})", row="row")
