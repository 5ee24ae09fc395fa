"""Counts in a column of ratings: how often something was played, bought or visited.

A first run reads them as the counts of events. Read as ratings, nearly all of them would be at the
foot of a scale of hundreds.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import numpy as np

from cofi_jobs.ingestion.formats import peek, rating_file
from cofi_jobs.ingestion.packed import is_empty
from cofi_jobs.ingestion.rating_scale import shown_scale
from cofi_jobs.ingestion.verdicts import LARGEST
from cofi_jobs.settings.fields import Settings

log = logging.getLogger(__name__)

FIRST_ROWS = 20_000  # of a file, that are read
LEAST = 100  # no scale that people give ratings on goes higher
SPREAD = 20  # half of all counts are below the highest divided by this


def with_counts(settings: Settings, files: Iterable[Sequence[str | None]]) -> Settings:
    """The settings for a first run: `feedback` and `count_column`, if the ratings are counts.

    `files` has what `counted_columns` says of each, and is read only if no setting decides it.
    """
    has_scale = settings.rating_low is not None or settings.rating_high is not None
    if settings.feedback != "auto" or settings.count_column or has_scale:
        return settings
    columns = {column for of_file in files for column in of_file}
    if len(columns) != 1 or None in columns:
        return settings
    [column] = columns
    log.info(
        "first run: the column %s holds counts, so each row is an event; kept from now on "
        "(feedback = ratings for a store of ratings)",
        column,
    )
    return settings.model_copy(update={"feedback": "events", "count_column": column})


def counted_columns(
    connection: duckdb.DuckDBPyConnection, settings: Settings, path: Path
) -> list[str | None]:
    """The file's column of ratings, None if it holds no counts; nothing of an empty file."""
    return [] if is_empty(path) else [_counted_column(connection, settings, path)]


def _counted_column(
    connection: duckdb.DuckDBPyConnection, settings: Settings, path: Path
) -> str | None:
    """The column of ratings, if it holds counts: whole numbers from 1 on, mostly small.

    Only the first rows are read.
    """
    source = rating_file(connection, path, settings)
    if not source.has_ratings:
        return None
    first = f"SELECT {source.rating_number} AS value FROM {source.cells} LIMIT {FIRST_ROWS}"
    rows = peek(
        connection,
        path,
        f"SELECT value, count(*) FROM ({first}) WHERE abs(value) <= {LARGEST} "
        "GROUP BY value ORDER BY value",
    )
    if not rows:
        return None
    values, n_rows = (np.array(column) for column in zip(*rows, strict=True))
    _, highest = shown_scale(values, n_rows)  # errors left aside
    median = values[np.searchsorted(n_rows.cumsum(), n_rows.sum() / 2)]
    are_counts = (values >= 1).all() and (values == np.floor(values)).all()
    if are_counts and highest > LEAST and SPREAD * median <= highest:
        return source.chosen["rating"]
    return None
