"""Staging: the judged rows of a run's files, in a database on disk, until all files have been seen.

Only then a first run knows the types of its ids and the scale of its ratings. The database keeps
memory free.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion import macros, plain_files, times
from cofi_jobs.ingestion.batch import Counts, NewFile
from cofi_jobs.ingestion.columns import no_ratings
from cofi_jobs.ingestion.file_times import FileTimes, TimesOfAll
from cofi_jobs.ingestion.formats import forget_lines, is_text, rating_file
from cofi_jobs.ingestion.packed import is_empty
from cofi_jobs.ingestion.plain_files import Plain
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.ingestion.rejects import LINES, check_quotes, forget_rejects
from cofi_jobs.ingestion.verdicts import OUTSIDE, Bounds, number_of, verdicts
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql

DATABASE = "staging"
# Nearly all rows are numbers. What the others have besides is one column, not five more to write
# for every row.
COLUMNS = "user_number BIGINT, item_number BIGINT, value FLOAT, time TIMESTAMPTZ, texts VARCHAR[]"
VIEW = """
    SELECT user_number, item_number, value, time, texts[1] AS user_id, texts[2] AS item_id,
        texts[3] AS reason, texts[4] AS raw, coalesce(texts[5]::BIGINT, rowid + 1) AS row"""
LINES_AT_A_TIME = 10_000
ERASED = "erased"  # the reason of rows of erased users


class ErasedUsers(Protocol):
    """Who was erased."""

    @property
    def users(self) -> Collection[str]:
        """Digests of the erased users."""

    def until(self, user_ids: Iterable[str]) -> dict[str, datetime]:
        """For each erased one of the users the time up to which ratings stay away."""

    def may_be_in(self, text: str) -> bool:
        """Whether a word of the text is the id of an erased user."""


@dataclass(frozen=True)
class StagedFile:
    """The rows of one file: a table, and a view of it with a column for each of the texts.

    Of a plain file only the rejected rows are there; the good ones are written already.
    """

    number: int
    plain: Plain | None = None
    time_unit: str | None = None  # of times that are numbers

    @property
    def table(self) -> str:
        """The table, see COLUMNS."""
        return f"{DATABASE}.file_{self.number}"

    @property
    def view(self) -> str:
        """The view, see VIEW."""
        return f"staged_{self.number}"

    @property
    def ratings(self) -> str:
        """SELECT of the `value` of each rating, those that are outside the scale too."""
        staged = f"""
            SELECT value FROM {self.view} WHERE value IS NOT NULL
                AND (reason IS NULL OR starts_with(reason, '{OUTSIDE}'))"""
        if self.plain is None:
            return staged
        written = f"SELECT rating FROM {sql.parquet([self.plain.path])}"
        return f"{staged} UNION ALL {written}"


@dataclass(frozen=True)
class Output:
    """How and where the rows of a run's files are written.

    id_types   of each column of ids, "integer" or "string"
    scale      which the reasons of rejected rows name; None: none
    taken      the folder of good rows, with a file for each one that was read
    rejected   the same of bad ones
    """

    id_types: Mapping[str, str]
    scale: Sequence[float] | None
    taken: Path
    rejected: Path


def open_database(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Make a connection ready for staging."""
    macros.create(connection, settings)
    sql.attach(connection, DATABASE)


def stage(
    connection: duckdb.DuckDBPyConnection,
    number: int,
    path: Path,
    settings: Settings,
    bounds: Bounds,
    taken: Path | None = None,
    whole: TimesOfAll | None = None,
) -> StagedFile:
    """Judge the rows of one file.

    Good rows of a plain file go to `taken` at once, if that is given. `whole` has the times of the
    folder of which the file is a part.
    Raises DataError if the file cannot be read as ratings.
    """
    staged = StagedFile(number)
    connection.execute(f"CREATE OR REPLACE TABLE {staged.table} ({COLUMNS})")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {staged.view} AS {VIEW} FROM {staged.table}")
    if is_empty(path):
        return staged
    try:
        source = _source(connection, path, settings, bounds)
        if taken and (plain := plain_files.take(connection, source, bounds, taken)):
            unit = times.SECONDS if source.has_times else None
            _insert(connection, staged, plain.odd, bounds, unit, path)
            good = f"SELECT count(*) FROM {staged.view} WHERE reason IS NULL"
            if connection.execute(good).fetchall() == [(0,)]:
                return StagedFile(number, plain, unit)
            return stage(connection, number, path, settings, bounds, whole=whole)
        whole = whole or FileTimes(
            path, bounds, lambda question: iter([question(connection, settings, path)])
        )
        unit = _insert_in_its_unit(connection, staged, source, settings, bounds, path, whole)
    except duckdb.Error as error:
        raise sql.unreadable(path, error, "ratings") from None
    return StagedFile(number, time_unit=unit)


def _source(
    connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings, bounds: Bounds
) -> RatingFile:
    source = rating_file(connection, path, settings)
    if bounds.feedback == "events":
        return source.as_events(bounds.not_rated)
    if not source.has_ratings:
        raise DataError(no_ratings(path))
    return source


def _insert_in_its_unit(
    connection: duckdb.DuckDBPyConnection,
    staged: StagedFile,
    source: RatingFile,
    settings: Settings,
    bounds: Bounds,
    path: Path,
    whole: TimesOfAll,
) -> str | None:
    """Judge a file's rows by the unit of its times; returns the unit, None without numbers.

    The unit is guessed first. All times are looked at where one does not fit, and for units whose
    numbers may mean something else; those of all parts of a folder.
    """
    if not source.has_times:
        _insert(connection, staged, source, bounds, None, path)
        return None
    guess = bounds.time_unit
    if guess is None:
        guess = times.guess_unit(connection, source, bounds.latest)
        forget_lines(connection, path)
    _insert(connection, staged, source, bounds, guess, path)
    misfits = f"SELECT 1 FROM {staged.view} WHERE starts_with(reason, 'timestamp is') LIMIT 1"
    if guess not in times.UNSURE and not connection.execute(misfits).fetchall():
        return guess
    unit = whole.unit(guess)
    if unit != guess:
        connection.execute(f"DELETE FROM {staged.table}")
        # The other parts were read meanwhile, whose malformed lines are not this one's.
        source = _source(connection, path, settings, bounds)
        _insert(connection, staged, source, bounds, unit, path)
    return unit


def _insert(
    connection: duckdb.DuckDBPyConnection,
    staged: StagedFile,
    source: RatingFile,
    bounds: Bounds,
    time_unit: str | None,
    path: Path,
) -> None:
    """Judge a file's rows into the table.

    Lines with a wrong number of columns come last, with a reason.
    """
    rows = verdicts(source, bounds, times.rule(time_unit, bounds.latest))
    connection.execute(f"INSERT INTO {staged.table} BY NAME {rows}")
    if is_text(path):
        check_quotes(connection, path)
        connection.execute(f"""
            INSERT INTO {staged.table} BY NAME
            SELECT [NULL, NULL, reason, raw, line::VARCHAR] AS texts FROM {LINES} ORDER BY line""")
        forget_rejects(connection)


def reject_erased(
    connection: duckdb.DuckDBPyConnection, staged: StagedFile, erased: ErasedUsers
) -> None:
    """Reject what erased users rated until their erasure, and keep neither ids nor texts."""
    nameless = f"[NULL, NULL, '{ERASED}', NULL, texts[5]]"
    user_id = "coalesce(texts[1], user_number::VARCHAR)"
    users = connection.execute(
        f"SELECT DISTINCT {user_id} AS id FROM {staged.table} WHERE id IS NOT NULL"
    ).fetchall()
    until = erased.until(user for (user,) in users)
    if until:
        columns = {
            "user_id": pa.array(until, pa.string()),
            "until": pa.array(until.values(), pa.timestamp("us", "UTC")),
        }
        connection.register("erased", pa.table(columns))
        connection.execute(f"""
            UPDATE {staged.table}
            SET user_number = NULL, item_number = NULL, texts = {nameless} FROM erased
            WHERE {user_id} = erased.user_id AND (time IS NULL OR time <= until)""")
        connection.unregister("erased")
    # Lines that could not be taken apart: whose they are is unknown.
    lines = connection.execute(f"""
        SELECT rowid, texts[4] FROM {staged.table}
        WHERE user_number IS NULL AND texts[1] IS NULL AND texts[4] IS NOT NULL""")
    of_erased = []
    while batch := lines.fetchmany(LINES_AT_A_TIME):
        of_erased += [str(row) for row, raw in batch if erased.may_be_in(raw)]
    rows = ", ".join(of_erased)
    if rows:
        connection.execute(f"UPDATE {staged.table} SET texts = {nameless} WHERE rowid IN ({rows})")


def write(
    connection: duckdb.DuckDBPyConnection, staged: StagedFile, file: NewFile, output: Output
) -> Counts:
    """Write the good and the bad rows of a file. Returns what became of its rows."""
    bad = _rejected_rows(staged, file.name, output.scale)
    reasons = dict(
        connection.execute(
            f"SELECT split_part(reason, ':', 1) AS why, count(*) FROM ({bad}) "
            "GROUP BY why ORDER BY why"
        ).fetchall()
    )
    [(n_read, n_withdrawn)] = connection.execute(f"""
        SELECT count(*), count(*) FILTER (reason IS NULL AND value IS NULL)
        FROM {staged.view}""").fetchall()
    if staged.plain:
        n_taken = staged.plain.n_taken
        n_read += n_taken
    else:
        good = _good_rows(staged, output.id_types)
        n_taken = sql.write_parquet(connection, good, output.taken / file.part)
    n_rejected = sql.write_parquet(connection, bad, output.rejected / file.part) if reasons else 0
    if n_read != n_taken + n_rejected:
        raise RuntimeError(
            f"{file.name}: {n_read} rows read, but {n_taken} taken and {n_rejected} rejected"
        )
    return {
        "rows_read": n_read,
        "rows_taken": n_taken,
        "rows_refused": n_rejected,
        "rows_withdrawn": n_withdrawn,
        "reasons": reasons,
        "time_unit": staged.time_unit,
    }


def _good_rows(staged: StagedFile, id_types: Mapping[str, str]) -> str:
    ids = ", ".join(f"{id_as(column, kind)} AS {column}" for column, kind in id_types.items())
    return (
        f"SELECT {ids}, value AS rating, time AS timestamp FROM {staged.view} WHERE reason IS NULL"
    )


def _rejected_rows(staged: StagedFile, name: str, scale: Sequence[float] | None) -> str:
    reason = "reason"
    if scale:  # which a first run knows only when all rows are staged
        outside = f"'{OUTSIDE} {scale[0]:g} to {scale[1]:g}' || substr(reason, {len(OUTSIDE) + 1})"
        reason = f"CASE WHEN starts_with(reason, '{OUTSIDE}') THEN {outside} ELSE reason END"
    return f"""SELECT {sql.quote(name)} AS file, row, {reason} AS reason, raw,
        {id_as("user_id", "string")} AS user_id FROM {staged.view} WHERE reason IS NOT NULL"""


def id_as(column: str, id_type: str) -> str:
    """An id of a staged row, as int64 or as the text that it was, in SQL."""
    if id_type == "integer":
        return f"coalesce({number_of(column)}, try_cast({column} AS BIGINT))"
    return f"coalesce({column}, {number_of(column)}::VARCHAR)"
