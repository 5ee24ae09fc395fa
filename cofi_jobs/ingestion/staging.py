"""Staging: the judged rows of a run's files, in a database on disk, until all files have been seen.

Only then a first run knows the types of its ids and the scale of its ratings. The database keeps
memory free.
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion import macros, plain_files, times
from cofi_jobs.ingestion.columns import no_ratings
from cofi_jobs.ingestion.file_times import FileTimes, TimesOfAll
from cofi_jobs.ingestion.formats import forget_lines, is_text, rating_file
from cofi_jobs.ingestion.packed import is_empty
from cofi_jobs.ingestion.plain_files import Plain
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.ingestion.rejects import LINES, check_quotes, forget_rejects
from cofi_jobs.ingestion.verdicts import OUTSIDE, Bounds, verdicts
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql

DATABASE = "staging"
# Nearly all rows are numbers. What the others have besides is one column, not five more to write
# for every row.
COLUMNS = "user_number BIGINT, item_number BIGINT, value FLOAT, time TIMESTAMPTZ, texts VARCHAR[]"
VIEW = """
    SELECT user_number, item_number, value, time, texts[1] AS user_id, texts[2] AS item_id,
        texts[3] AS reason, texts[4] AS raw, coalesce(texts[5]::BIGINT, rowid + 1) AS row"""


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

    The unit is guessed first. If a time does not fit, or if numbers in that unit may mean something
    else, all times are read: those of all parts of a folder.
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
