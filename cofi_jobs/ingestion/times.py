"""Times: in which unit a file gives its times, and what a cell means as a time, in SQL.

A file has one unit, found from all of its values: a single number can mean anything. No number is
plausible in two units, except that small whole numbers are an order whatever else they may be.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from cofi_jobs.ingestion.rating_file import RatingFile

EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)  # older times are errors: no rating was online
DAY = 24 * 60 * 60
SECONDS, ORDER, SPREADSHEET_DAYS = "seconds", "order", "spreadsheet_days"
UNSURE = (ORDER, SPREADSHEET_DAYS)
# Kinds of cells that show no unit.
ZERO, ISO, IMPLAUSIBLE, UNREADABLE = "zero", "iso", "implausible", "unreadable"
LARGEST = 1e19  # numbers beyond it are no times in any unit
SAMPLE = 1000  # first rows, from which the unit is guessed
EXPECTED = (
    "expected times from 1980 until a day from now: seconds, milliseconds, microseconds or "
    "nanoseconds since 1970, 20240131, 2024-01-31T12:30:00Z, or an order 1, 2, 3"
)


@dataclass(frozen=True)
class TimeUnit:
    """What numbers mean as times.

    time      the time of a number, in SQL; {} stands for the number
    low, high the first and the last plausible number
    whole     whether only whole numbers are plausible
    too_low, too_high   why a number beyond the bounds is rejected
    """

    time: str
    low: float
    high: float
    whole: bool = False
    too_low: str = "timestamp is before 1980"
    too_high: str = "timestamp is in the future"

    def holds(self, number: str) -> str:
        """The condition that a number is plausible, in SQL."""
        is_whole = f" AND {number} = trunc({number})" if self.whole else ""
        return f"({number} BETWEEN {_double(self.low)} AND {_double(self.high)}{is_whole})"


def latest_now() -> float:
    """The last plausible time: a day from now, since clocks and zones differ."""
    return time.time() + DAY


def units(latest: float) -> dict[str, TimeUnit]:
    """The units by the names that the setting `time_unit` has for them.

    `latest` is the last plausible time, in seconds since 1970.
    """
    first, last = EARLIEST, datetime.fromtimestamp(latest, UTC)
    since_1970 = {SECONDS: 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
    digits = {
        "yyyymmdd": "%Y%m%d",
        "yyyymmddhhmm": "%Y%m%d%H%M",
        "yyyymmddhhmmss": "%Y%m%d%H%M%S",
    }
    day_0 = first.timestamp() // DAY - 29221  # 1980-01-01 is day 29221 of a spreadsheet
    no_order = "timestamp is no small whole number like the others"
    return {
        **{
            name: TimeUnit(f"to_timestamp({{}} / {n})", first.timestamp() * n, latest * n)
            for name, n in since_1970.items()
        },
        **{
            name: TimeUnit(
                f"try_strptime({{}}::BIGINT::VARCHAR, '{form}')::TIMESTAMPTZ",
                int(first.strftime(form)),
                int(last.strftime(form)),
                whole=True,
            )
            for name, form in digits.items()
        },
        SPREADSHEET_DAYS: TimeUnit(
            f"to_timestamp(({{}} + {day_0}) * {DAY})", 29221, latest / DAY - day_0
        ),
        ORDER: TimeUnit("to_timestamp({})", 0, first.timestamp() - 1, True, no_order, no_order),
    }


@dataclass(frozen=True)
class TimeRule:
    """What the cells `timestamp` of a file mean: ISO 8601 texts, or numbers in one unit.

    Both are expressions over `timestamp` and, as a DOUBLE, `time_number`.
    """

    unit: TimeUnit
    latest: float

    @property
    def time(self) -> str:
        """The time of a cell, NULL if it is not plausible. The usual case first, for speed."""
        return f"""CASE WHEN {self.unit.holds("time_number")}
            THEN {self.unit.time.format("time_number")}
            WHEN time_number IS NULL AND {_iso_holds("timestamp", self.latest)}
            THEN {_iso("timestamp")} END"""

    @property
    def reason(self) -> str:
        """Why a cell has no time."""
        iso = _iso("timestamp")
        return f"""CASE
            WHEN coalesce(NOT isfinite(time_number) OR abs(time_number) > {_double(LARGEST)},
                NOT isfinite({iso}), true) THEN 'timestamp is unreadable'
            WHEN time_number IS NULL AND {iso} < {_moment(EARLIEST.timestamp())}
                THEN 'timestamp is before 1980'
            WHEN time_number IS NULL THEN 'timestamp is in the future'
            WHEN time_number < {_double(self.unit.low)} THEN '{self.unit.too_low}'
            WHEN time_number > {_double(self.unit.high)} THEN '{self.unit.too_high}'
            ELSE 'timestamp is unreadable' END"""


def rule(unit: str | None, latest: float) -> TimeRule:
    """The rule of a file with times in this unit; None if it shows no numbers."""
    return TimeRule(units(latest)[unit or SECONDS], latest)


def count_kinds(
    connection: duckdb.DuckDBPyConnection,
    source: RatingFile,
    latest: float,
    limit: int | None = None,
) -> dict[str, int]:
    """How many cells are plausible in each unit, or of another kind; of the first rows or of all.

    Empty cells do not count.
    """
    cases = [f"WHEN number = 0 THEN '{ZERO}'"]
    cases += [f"WHEN {unit.holds('number')} THEN '{n}'" for n, unit in units(latest).items()]
    texts = f"SELECT {source.fields['timestamp']} AS text FROM {source.cells}"
    cells = f"SELECT present(text) AS cell FROM ({texts})"
    rows = connection.execute(f"""
        SELECT CASE {" ".join(cases)}
            WHEN number IS NULL AND {_iso_holds("cell", latest)} THEN '{ISO}'
            WHEN coalesce(isfinite(number) AND abs(number) <= {_double(LARGEST)},
                isfinite({_iso("cell")}), false) THEN '{IMPLAUSIBLE}'
            ELSE '{UNREADABLE}' END AS kind, count(*)
        FROM (SELECT cell, try_cast(cell AS DOUBLE) AS number
            FROM ({cells}{f" LIMIT {limit}" if limit else ""}) WHERE trim(cell) != '')
        GROUP BY kind""").fetchall()
    return dict(rows)


def choose_unit(kinds: Mapping[str, int]) -> str | None:
    """The unit of most numbers, None if there are no plausible numbers.

    A few numbers among ISO texts are no order. Zero often means that a time is unknown, so only
    zeros alone are one.
    """
    names = list(units(EARLIEST.timestamp()))
    unit = max(names, key=lambda name: kinds.get(name, 0))
    if not kinds.get(unit):
        return ORDER if kinds.get(ZERO) and not kinds.get(ISO) else None
    return SECONDS if unit == ORDER and kinds.get(ISO, 0) > kinds[ORDER] else unit


def count_implausible(kinds: Mapping[str, int], unit: str | None) -> int:
    """How many cells are read as a number or an ISO text, and give no plausible time."""
    plausible = {unit, ISO}
    if unit == ORDER:  # which may run through numbers that could be dates
        plausible |= {ZERO, "yyyymmdd", SPREADSHEET_DAYS}
    return sum(n for kind, n in kinds.items() if kind not in plausible | {UNREADABLE})


def guess_unit(
    connection: duckdb.DuckDBPyConnection, source: RatingFile, latest: float
) -> str | None:
    """The unit that the first rows show."""
    return choose_unit(count_kinds(connection, source, latest, SAMPLE))


def _iso(cell: str) -> str:
    """A cell as an ISO 8601 time, UTC if it names no zone."""
    return f"try_cast(trim({cell}) AS TIMESTAMPTZ)"


def _iso_holds(cell: str, latest: float) -> str:
    return f"{_iso(cell)} BETWEEN {_moment(EARLIEST.timestamp())} AND {_moment(latest)}"


def _moment(seconds: float) -> str:
    return f"to_timestamp({_double(seconds)})"


def _double(number: float) -> str:
    return f"{number!r}::DOUBLE"
