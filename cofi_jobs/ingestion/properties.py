"""What the first run fixes for a store: types of ids, ratings or events, the scale of ratings.

And what follows from it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cofi_jobs.core.errors import DataError, NoInputError
from cofi_jobs.core.feedback import Feedback
from cofi_jobs.ingestion.columns import FORMATS
from cofi_jobs.ingestion.known_columns import ID_COLUMNS
from cofi_jobs.ingestion.rating_scale import shown_scale
from cofi_jobs.ingestion.shown_ratings import RatingCounts, RowKind, joined_kinds
from cofi_jobs.ingestion.staged_files import StagedFiles
from cofi_jobs.ingestion.verdicts import LARGEST, SMALLEST_COUNT, Bounds
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.lists import numbers
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

MOST_NAMED = 5  # ratings outside the scale


@dataclass(frozen=True)
class Properties:
    """Types of user_id and item_id, "integer" or "string"; what users gave.

    `scale` is the lowest and highest rating, None for events. `count_column` is the column in which
    the first run found counts where ratings are usual.
    """

    id_types: dict[str, str]
    scale: list[float] | None
    count_column: str | None = None

    @property
    def feedback(self) -> Feedback:
        """What users gave: ratings, or events, which have no scale."""
        return "events" if self.scale is None else "ratings"

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Properties":
        """From what the store keeps."""
        id_types = {name: record[name] for name in ID_COLUMNS}
        return cls(id_types, record["scale"], record.get("count_column"))

    def record(self) -> dict[str, Any]:
        """For the store to keep."""
        record = {**self.id_types, "scale": self.scale, "feedback": self.feedback}
        return record | ({"count_column": self.count_column} if self.count_column else {})


def bounds(settings: Settings, properties: Properties | None, latest: float) -> Bounds:
    """What settings and properties ask of a run's ratings.

    In a first run there are no properties yet. `latest` is the last plausible time, in seconds
    since 1970.
    """
    integers: Sequence[str]
    ends: Sequence[float] | None
    if properties is None:
        integers = ID_COLUMNS if settings.id_type == "integer" else ()
        low = -LARGEST if settings.rating_low is None else settings.rating_low
        high = LARGEST if settings.rating_high is None else settings.rating_high
        ends = None if settings.feedback == "events" else (low, high)
    else:
        types = properties.id_types
        if settings.id_type != "auto" and settings.id_type not in types.values():
            raise DataError(
                f"found id_type {settings.id_type}, but the first run has fixed {types}"
            )
        integers = [column for column in ID_COLUMNS if types[column] == "integer"]
        ends = scale(settings, properties.scale)
    low, high = ends or (SMALLEST_COUNT, LARGEST)
    return Bounds(
        integers=integers,
        low=low,
        high=high,
        not_rated=numbers(settings.not_rated),
        latest=latest,
        time_unit=None if settings.time_unit == "auto" else settings.time_unit,
        feedback="ratings" if ends else "events",
    )


def first_properties(
    store: Store,
    settings: Settings,
    files: StagedFiles,
    ratings: RatingCounts,
    id_types: dict[str, str],
) -> Properties:
    """The properties that the files of a first run show, all their ratings and types of ids given.

    Raises DataError if they have no ratings, NoInputError if there are no files.
    """
    if not files.files:
        raise NoInputError(
            f"found no ratings in {store.shown(store.landing)}, expected a file there: {FORMATS}"
        )
    values, n_rows = ratings.values, ratings.n_rows
    if not len(values):
        raise DataError(_no_ratings(joined_kinds(map(files.kinds, files.files))))
    if settings.feedback == "events":
        log.info("first run: %s, events; kept from now on", id_types)
        return Properties(id_types, None)
    ends = _ends(settings, shown_scale(values, n_rows))
    _warn_of_errors(settings, values, n_rows, ends)
    log.info("first run: %s, ratings from %g to %g; kept from now on", id_types, *ends)
    return Properties(id_types, ends)


def _no_ratings(kinds: Sequence[RowKind]) -> str:
    """The message for files without ratings: what most of their rows are."""
    expected = "expected ratings in the first run's files"
    if not kinds:
        return f"found no rows, {expected}"
    most, n_rows = kinds[0], sum(kind.n_rows for kind in kinds)
    example = f" ({most.example!r})" if most.example else ""
    return (
        f"found no ratings, but {most.n_rows} of {n_rows} rows of which the {most.why}{example}; "
        f"{expected}"
    )


def _warn_of_errors(
    settings: Settings, values: np.ndarray, n_rows: np.ndarray, ends: Sequence[float]
) -> None:
    """Name the ratings that were left aside as errors when the scale was found."""
    is_low = (values < ends[0]) & (settings.rating_low is None)
    is_high = (values > ends[1]) & (settings.rating_high is None)
    for index in np.flatnonzero(is_low | is_high)[:MOST_NAMED]:
        log.warning(
            "the rating %g, which %d of %d rows have, lies far outside the others, %g to %g, "
            "so it is rejected; if it is no mistake, set rating_low or rating_high",
            *(values[index], n_rows[index], n_rows.sum(), *ends),
        )


def scale(settings: Settings, stored: Sequence[float] | None) -> list[float] | None:
    """The ends of the scale, those of the settings before those that the store keeps.

    None for events.
    """
    return None if stored is None else _ends(settings, stored)


def _ends(settings: Settings, stored: Sequence[float]) -> list[float]:
    low = stored[0] if settings.rating_low is None else settings.rating_low
    high = stored[1] if settings.rating_high is None else settings.rating_high
    if low >= high:
        raise DataError(
            f"found the rating scale {low:g} to {high:g}, expected two different ends: "
            "set rating_low and rating_high"
        )
    return [low, high]
