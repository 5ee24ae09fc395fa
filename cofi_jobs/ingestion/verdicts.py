"""Verdicts: a record of a file is a rating, a withdrawal, or rejected with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cofi_jobs.core.feedback import Feedback
from cofi_jobs.ingestion import times
from cofi_jobs.ingestion.rating_file import RatingFile
from cofi_jobs.ingestion.times import TimeRule

# What the column `op` may say, in words and as the letters of change data capture. An empty cell
# counts as an insert.
WRITES = ("", "insert", "upsert", "update", "create", "read", "i", "c", "r", "u")
DELETES = ("delete", "d")
LARGEST = 1e9  # rating or count
SMALLEST_COUNT = 1e-9
OUTSIDE = "rating is outside the scale"
NOT_RATED = "not rated"  # the reason of rows that are no errors
WITHDRAWN = f"coalesce(op IN {DELETES}, false)"


@dataclass(frozen=True)
class Bounds:
    """What ratings must keep to, or events.

    integers   columns whose ids must be integers
    low, high  the lowest and the highest rating, or count of an event
    not_rated  values that mean "no rating"
    latest     the last plausible time, in seconds since 1970
    time_unit  the unit of times that are numbers; None: found for each file
    advice     what the reason adds where an id is no integer
    """

    integers: Sequence[str] = ()
    low: float = -LARGEST
    high: float = LARGEST
    not_rated: Sequence[float] = ()
    latest: float = field(default_factory=times.latest_now)
    time_unit: str | None = None
    advice: str = ""
    feedback: Feedback = "ratings"

    @property
    def hold(self) -> str:
        """The condition that `value` is within the bounds, in SQL."""
        return f"value BETWEEN {self.low}::FLOAT AND {self.high}::FLOAT"

    def hold_of(self, values: np.ndarray) -> bool:
        """Whether all values are within the bounds, rounded as in the database."""
        low, high = np.float32(self.low), np.float32(self.high)
        return bool(((values >= low) & (values <= high)).all())

    @property
    def is_not_rated(self) -> str:
        """The condition that `value` means "no rating", in SQL; false without a value."""
        numbers = ", ".join(f"{number}::FLOAT" for number in self.not_rated)
        return f"coalesce(value IN ({numbers}), false)" if numbers else "false"


def verdicts(source: RatingFile, bounds: Bounds, time_rule: TimeRule) -> str:
    """SELECT of user_number, item_number, value, time and texts for each record, in order.

    An id is a number, or else a text in `texts`. A withdrawal has no value. `texts` is NULL for
    nearly all rows; else it has user_id, item_id, and of a rejected row the reason, the record's
    text and the row's number if it has one.

    The steps ask first what nearly all rows are, numbers as they should be, and work out nothing
    else for those. The steps are one scan: a step that DuckDB materializes would hold the whole
    file.
    """
    fields = ", ".join(f"{field} AS {name}" for name, field in source.fields.items())
    # A step of its own: a macro repeats the expression of its argument.
    present = ", ".join(f"present({name}) AS {name}" for name in source.chosen)
    return f"""
        WITH cells AS NOT MATERIALIZED (
            SELECT *, {fields} FROM {source.cells}
        ), present_cells AS NOT MATERIALIZED (
            SELECT * REPLACE ({present}) FROM cells
        ), numbers AS NOT MATERIALIZED (
            SELECT * REPLACE (lower(trim(op)) AS op),
                try_cast(user_id AS BIGINT) AS user_cast, try_cast(item_id AS BIGINT) AS item_cast,
                try_cast(rating AS FLOAT) AS rating_cast,
                try_cast(timestamp AS DOUBLE) AS time_number
            FROM present_cells
        ), integer_ids AS NOT MATERIALIZED (
            SELECT *, integer_id(user_id, user_cast) AS user_number,
                integer_id(item_id, item_cast) AS item_number
            FROM numbers
        ), meanings AS NOT MATERIALIZED (
            SELECT * REPLACE (
                    CASE WHEN user_number IS NULL THEN clean_id(user_id) END AS user_id,
                    CASE WHEN item_number IS NULL THEN clean_id(item_id) END AS item_id),
                CASE WHEN NOT {WITHDRAWN} THEN rating_value(rating, rating_cast) END AS value,
                {time_rule.time} AS time
            FROM integer_ids
        ), reasons AS NOT MATERIALIZED (
            SELECT *, {_reason(source, bounds, time_rule)} AS reason FROM meanings
        )
        SELECT user_number, item_number, value, time, CASE
            WHEN reason IS NOT NULL THEN [user_id, item_id, reason, {source.raw}, {source.row}]
            WHEN user_number IS NULL OR item_number IS NULL
            THEN [user_id, item_id, NULL, NULL, NULL] END AS texts
        FROM reasons"""


def _reason(source: RatingFile, bounds: Bounds, time_rule: TimeRule) -> str:
    """Why a row is rejected, in SQL: the first rule that the row breaks, NULL for a good row."""
    # A rating without a time is older than all others.
    no_time = "(time IS NULL AND timestamp IS NOT NULL)"
    integers = " ".join(
        f"WHEN {is_no_integer(column)} "
        f"THEN '{column} is not an integer like the others{bounds.advice}: ' || shown({column})"
        for column in bounds.integers
    )
    not_rated = bounds.is_not_rated
    value, outside = "rating", OUTSIDE
    if bounds.feedback == "events":
        value, outside = "count", "count is not above 0"
    numbers = "user_number IS NOT NULL AND item_number IS NOT NULL"
    usual = f"{numbers} AND {bounds.hold} AND NOT {not_rated} AND op IS NULL AND NOT {no_time}"
    return f"""CASE WHEN {usual} THEN NULL ELSE coalesce({source.flaw}, CASE
            WHEN user_number IS NULL AND coalesce(user_id, '') = '' THEN 'user_id is missing'
            WHEN item_number IS NULL AND coalesce(item_id, '') = '' THEN 'item_id is missing'
            WHEN op NOT IN {WRITES + DELETES} THEN 'op is unknown: ' || shown(op)
            WHEN {not_rated} THEN '{NOT_RATED}'
            WHEN {no_time} THEN {time_rule.reason} || ': ' || shown(timestamp)
            WHEN {WITHDRAWN} THEN NULL
            WHEN rating IS NULL THEN '{value} is missing'
            WHEN value IS NULL OR NOT isfinite(value)
                THEN '{value} is not a number: ' || shown(rating)
            WHEN abs(value) > {LARGEST} THEN '{value} is too large: ' || shown(rating)
        END, CASE {integers} WHEN NOT {bounds.hold} THEN '{outside}: ' || value END) END"""


def number_of(column: str) -> str:
    """The name of the column that has an id as a number, if it is one."""
    return column.replace("_id", "_number")


def is_no_integer(column: str) -> str:
    """The condition that an id is text, in SQL.

    Compared as text, so that "007" stays what it is.
    """
    text = f"CAST(try_cast({column} AS BIGINT) AS VARCHAR) IS DISTINCT FROM {column}"
    return f"({number_of(column)} IS NULL AND {text})"
