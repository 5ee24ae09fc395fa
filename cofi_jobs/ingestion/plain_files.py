"""Plain files: a short way for large files of numbers, written as they are read.

The invariant: a file that is taken this way gives the same rows, good and bad, as its text judged
by verdicts.py.

Only the text tells the id 007 from 7. DuckDB's reader of numbers is faster, but to it 007, 7.5 and
1e2 are 7, 8 and 100. So a file is plain only if its bytes show that no number in it is written like
that. Lines that the reader of numbers rejects are then judged by their texts. Should one of them be
good, the file is read again as text.

Why the rules for rows are here a second time: with 10 million ratings, ingest without this module
needs 1.6 times the processor time. These two commands show it, the second with one quoted cell, so
that the file is not plain:

    python -m benchmarks.ingest --sizes 10000000
    python -m benchmarks.ingest --sizes 10000000 --as-text
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np

from cofi_jobs.ingestion import times
from cofi_jobs.ingestion.packed import open_unpacked
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.ingestion.rejects import forget_rejects
from cofi_jobs.ingestion.text_table import TextTable
from cofi_jobs.ingestion.verdicts import Bounds
from cofi_jobs.store import sql

SAMPLE = 100_000  # first rows, in which the texts of ratings are looked up
MOST_TEXTS = 1000  # of ratings
MOST_ODD = 20_000  # lines by the estimate; DuckDB keeps about 5 KB in memory for each
MOST_ERRORS = 10 * MOST_ODD
LOOKED_AT = 512  # bytes of each block, by which the odd lines are estimated
ID = "DECIMAL(18, 0)"  # with a comma for its point it rejects 7.5, which BIGINT takes for 8
BLOCK = 1 << 17  # small enough for the processor's cache


@dataclass(frozen=True)
class Plain:
    """What was taken of a plain file: how many rows, and in which Parquet file they are.

    `odd` has the other lines that have all of their columns; lines with more or fewer are in
    DuckDB's reject_errors.
    """

    n_taken: int
    path: Path
    odd: RatingFile


def take(
    connection: duckdb.DuckDBPyConnection, source: RatingFile, bounds: Bounds, path: Path
) -> Plain | None:
    """Write the ratings of a plain file within the bounds to `path`; None if it is not plain.

    Of a plain file ids are integers of up to 18 digits, and times are plausible seconds since 1970
    if it has any.
    """
    table = source.table
    has_other_times = source.has_times and bounds.time_unit not in (None, times.SECONDS)
    if table is None or table.longest or "op" in source.chosen or has_other_times:
        return None
    if not source.has_ratings:  # nor counts
        return None
    n_lines = count_plain_lines(table)
    texts = _rating_texts(connection, source, bounds) if n_lines else []
    if not texts or estimate_odd(source, table, texts) > MOST_ODD:
        return None
    try:
        n_taken = sql.write_parquet(connection, _numbers(source, table, texts, bounds), path)
    except duckdb.Error:  # such as a time in other units; reading the text gives the right message
        n_taken = 0
    # Where good rows are the fewer, the times of the others could show another unit.
    if 2 * n_taken < n_lines or not _rejects_explain_all(connection, table, n_lines - n_taken):
        forget_rejects(connection)
        return None
    return Plain(n_taken, path, _odd(source, table))


def _rejects_explain_all(
    connection: duckdb.DuckDBPyConnection, table: TextTable, n_missing: int
) -> bool:
    """Whether the lines that were not taken are exactly those in reject_errors.

    Each must have too many columns or too few for the text reader too, or a cell that the reader of
    numbers rejects: such a line is judged by its text.
    """
    # To the reader of text no column follows a separator at the end of a line.
    ends_in_separator = f"suffix(trim(csv_line, E'\\r\\n'), {sql.quote(table.separator)})"
    [(n_odd, same_reasons)] = connection.execute(f"""
        SELECT count(DISTINCT line), coalesce(bool_and(error_type = 'CAST'
            OR (error_type IN ('MISSING COLUMNS', 'TOO MANY COLUMNS')
                AND NOT {ends_in_separator})), true)
        FROM reject_errors""").fetchall()
    return n_odd == n_missing and same_reasons


def count_plain_lines(table: TextTable) -> int:
    """Lines below the header, 0 if a number may be written like 007, 1e2, +7, -0 or 1_000.

    Words may stand between separators; quotation marks, blanks and blank lines may not stand
    anywhere.
    """
    separator = table.separator.encode()
    n_lines, last = 0, b"\n"
    for lines in _blocks_of_lines(table):
        if not _is_plain(lines, separator):
            return 0
        n_lines += lines.count(b"\n")
        last = lines[-1:]
    return n_lines + (last != b"\n")


def estimate_odd(source: RatingFile, table: TextTable, texts: Sequence[str]) -> int:
    """About how many lines the reader of numbers will reject, by some lines of each block."""
    usual = _usual_line(source, table, texts)
    n_odd = 0
    for lines in _blocks_of_lines(table):
        looked_at = lines[: lines.find(b"\n", LOOKED_AT) + 1] or lines
        odd = sum(not usual.fullmatch(line) for line in looked_at.splitlines())
        n_odd += odd * len(lines) // len(looked_at)
    return n_odd


def _usual_line(source: RatingFile, table: TextTable, texts: Sequence[str]) -> re.Pattern[bytes]:
    """What a line looks like of which the reader of numbers takes each cell."""
    number, separator = rb"-?[0-9]+", re.escape(table.separator.encode())
    cells = dict.fromkeys(table.columns, rb".*")
    for name, column in source.chosen.items():
        cells[column] = number
        if name == "rating":
            cells[column] = b"(" + b"|".join(re.escape(text.encode()) for text in texts) + b")"
    return re.compile(separator.join(cells.values()))


def _is_plain(lines: bytes, separator: bytes) -> bool:
    """Whether whole lines hold only words and numbers, all written as numbers usually are."""
    words = lines.translate(None, b"0123456789.-\r\n" + separator)
    # +7, 1_000, quotation marks, blanks; -0
    if (words and not words.isalpha()) or (b"-" in lines and b"-0" in lines):
        return False
    byte = np.frombuffer(b"\n" + lines, np.uint8)
    # Below "0" the subtraction wraps to a large number.
    is_digit = byte - ord("0") < 10
    # 007, but not 0.5 or 1.00
    leading_zero = (
        (byte[1:-1] == ord("0")) & is_digit[2:] & ~is_digit[:-2] & (byte[:-2] != ord("."))
    )
    is_end = byte == ord("\n")
    blank_line = is_end[:-1] & (is_end[1:] | (byte[1:] == ord("\r")))
    if leading_zero.any() or blank_line.any():
        return False
    # 1e2, 0x10
    word_after_digit = is_digit[:-1] & (byte[1:] > ord("9")) & (byte[1:] != separator[0])
    return not (words and word_after_digit.any())


def _blocks_of_lines(table: TextTable) -> Iterator[bytes]:
    """The file's whole lines below its header, many at a time."""
    with open_unpacked(table.path) as file:
        if table.header:
            file.readline()
        while block := file.read(BLOCK):
            yield block + file.readline()


def _rating_texts(
    connection: duckdb.DuckDBPyConnection, source: RatingFile, bounds: Bounds
) -> list[str]:
    """Texts of good ratings in the first rows; none if there are too many to be listed."""
    rows = connection.execute(f"""
        SELECT DISTINCT text, try_cast(text AS FLOAT) AS value
        FROM (SELECT {source.fields["rating"]} AS text FROM {source.cells} LIMIT {SAMPLE})
        WHERE {bounds.hold} AND NOT {bounds.is_not_rated}
        ORDER BY text""").fetchall()
    forget_rejects(connection)
    return [text for text, _ in rows] if len(rows) <= MOST_TEXTS else []


def _numbers(source: RatingFile, table: TextTable, texts: list[str], bounds: Bounds) -> str:
    """SELECT of the rows of numbers, those whose ratings are written like one of `texts`."""
    user_id, item_id, rating = (source.chosen[name] for name in ("user_id", "item_id", "rating"))
    ratings, time = f"ENUM ({', '.join(map(sql.quote, texts))})", "NULL::TIMESTAMPTZ"
    types = {user_id: ID, item_id: ID, rating: ratings}
    if source.has_times:
        number, seconds = (
            sql.name(source.chosen["timestamp"]),
            times.units(bounds.latest)["seconds"],
        )
        types[source.chosen["timestamp"]] = ID
        time = (
            f"CASE WHEN {seconds.holds(number)} THEN {seconds.time.format(number)} "
            "ELSE error('time is not in seconds') END"
        )
    # An empty cell is no NULL, which would fit.
    relation = table.relation(
        types, decimal_separator="','", nullstr="'\x01'", rejects_limit=str(MOST_ERRORS)
    )
    return f"""SELECT
        {sql.name(user_id)}::BIGINT AS user_id, {sql.name(item_id)}::BIGINT AS item_id,
        {sql.name(rating)}::VARCHAR::FLOAT AS rating, {time} AS timestamp FROM {relation}"""


def _odd(source: RatingFile, table: TextTable) -> RatingFile:
    """The lines in reject_errors that have all of their columns, as a file of text."""
    cells = ", ".join(
        f"nullif(cells[{number + 1}], '') AS c{number}" for number in range(len(table.columns))
    )
    lines = f"""
        SELECT {cells}, row FROM (
            SELECT string_split(text, {sql.quote(table.separator)}) AS cells, malformed,
                (line - {int(table.header)}
                    - count(*) FILTER (malformed) OVER (ORDER BY line))::VARCHAR AS row
            FROM (SELECT line, trim(first(csv_line), E'\r\n') AS text,
                    bool_or(error_type != 'CAST') AS malformed
                FROM reject_errors GROUP BY line)
            ORDER BY line)
        WHERE NOT malformed"""
    return replace(source, cells=f"({lines})", row="row")
