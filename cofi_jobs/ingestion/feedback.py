"""Whether users gave ratings or events, as the files of a run show it.

An event is a like, a click, a play, a purchase: a row that counts 1, or what a column of counts
says. The first run decides which of the two a store has, and the store keeps it.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb

from cofi_jobs.core.errors import DataError
from cofi_jobs.core.feedback import Feedback
from cofi_jobs.ingestion.formats import peek, rating_file
from cofi_jobs.ingestion.packed import is_empty
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.lists import numbers

log = logging.getLogger(__name__)

EVENT = 1.0  # the rating of a row that says only that something happened
FIRST_ROWS = 1000  # in nearly all files of ratings, these differ


def decide(
    settings: Settings,
    stored: Feedback | None,
    ratings: Iterable[tuple[Path, set[float] | None]],
) -> Feedback:
    """What a run's files are read as; `stored` is what the store keeps, None in the first run.

    `ratings` has what `ratings_in` gives for each file. It is read only if nothing else decides.
    Files are read as events if none has a column of ratings, or if all ratings are 1 and no setting
    gives their scale. Raises DataError if the settings or the files are not what the store has.
    """
    declared = settings.feedback
    if declared != "auto":
        if stored not in (None, declared):
            raise DataError(
                f"found feedback = {declared}, expected {stored}, which the first run has fixed"
            )
        return declared
    if stored == "ratings":
        return "ratings"
    values = dict(ratings)
    rated = {path: of_file for path, of_file in values.items() if of_file is not None}
    if stored == "events":
        _check_are_events(rated)
        return "events"
    if values and not rated:
        log.info(
            "first run: found no column of ratings (setting rating_column), so each row is an "
            "event; kept from now on"
        )
        return "events"
    has_scale = settings.rating_low is not None or settings.rating_high is not None
    if set[float]().union(*rated.values()) == {EVENT} and not has_scale:
        log.info(
            "first run: all ratings are 1, so each row is an event; kept from now on "
            "(feedback = ratings for a store of ratings)"
        )
        return "events"
    return "ratings"


def _check_are_events(ratings: Mapping[Path, set[float]]) -> None:
    for path, of_file in ratings.items():
        if stars := of_file - {EVENT}:
            raise DataError(
                f"{path}: found ratings such as {max(stars):g}, expected events, as in the first "
                "run; with feedback = events each row counts as one"
            )


def ratings_in(
    connection: duckdb.DuckDBPyConnection, settings: Settings, path: Path
) -> set[float] | None:
    """Two different ratings of a file, or as many as it has; None without a column of ratings."""
    if is_empty(path):
        return set()
    source = rating_file(connection, path, settings)
    if not source.has_ratings:
        return None
    not_rated = "".join(f" AND value != {number}" for number in numbers(settings.not_rated))
    for limit in (f"LIMIT {FIRST_ROWS}", ""):
        values = f"SELECT {source.rating_number} AS value FROM {source.cells} {limit}"
        distinct = f"SELECT DISTINCT value FROM ({values}) WHERE isfinite(value) {not_rated}"
        rows = peek(connection, path, f"{distinct} LIMIT 2")
        if rows is None or len(rows) > 1:
            break
    return {rating for (rating,) in rows or ()}
