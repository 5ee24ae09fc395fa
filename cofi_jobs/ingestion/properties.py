"""What the first run fixes for a store: types of ids, ratings or events, the scale of ratings.

And what follows from it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from cofi_jobs.core.errors import DataError
from cofi_jobs.core.scale import Feedback
from cofi_jobs.ingestion.columns import FORMATS
from cofi_jobs.ingestion.staging import StagedFile
from cofi_jobs.ingestion.verdicts import LARGEST, OUTSIDE, SMALLEST_COUNT, Bounds
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.lists import numbers
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Properties:
    """Types of user_id and item_id, "integer" or "string"; what users gave.

    `scale` is the lowest and highest rating, None for events.
    """

    id_types: dict[str, str]
    scale: list[float] | None

    @property
    def feedback(self) -> Feedback:
        """What users gave: ratings, or events, which have no scale."""
        return "events" if self.scale is None else "ratings"

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Properties":
        """From what the store keeps."""
        return cls({name: record[name] for name in ("user_id", "item_id")}, record["scale"])

    def record(self) -> dict[str, Any]:
        """For the store to keep."""
        return {**self.id_types, "scale": self.scale, "feedback": self.feedback}


def bounds(settings: Settings, properties: Properties | None, latest: float) -> Bounds:
    """What settings and properties ask of a run's ratings.

    In a first run there are no properties yet. `latest` is the last plausible time, in seconds
    since 1970.
    """
    not_rated = numbers(settings.not_rated)
    time_unit = None if settings.time_unit == "auto" else settings.time_unit
    integers: Sequence[str]
    if properties is None:
        integers = ("user_id", "item_id") if settings.id_type == "integer" else ()
        if settings.feedback == "events":
            return counts(integers, not_rated, latest, time_unit)
        return Bounds(
            integers=integers,
            low=-LARGEST if settings.rating_low is None else settings.rating_low,
            high=LARGEST if settings.rating_high is None else settings.rating_high,
            not_rated=not_rated,
            latest=latest,
            time_unit=time_unit,
        )
    id_types = properties.id_types
    if settings.id_type != "auto" and settings.id_type not in id_types.values():
        raise DataError(f"found id_type {settings.id_type}, but the first run has fixed {id_types}")
    integers = [column for column in id_types if id_types[column] == "integer"]
    ends = scale(settings, properties.scale)
    if ends is None:
        return counts(integers, not_rated, latest, time_unit)
    return Bounds(integers, ends[0], ends[1], not_rated, latest, time_unit)


def counts(
    integers: Sequence[str], not_rated: Sequence[float], latest: float, time_unit: str | None
) -> Bounds:
    """What is asked of events: counts above 0."""
    ends = SMALLEST_COUNT, LARGEST
    return Bounds(integers, *ends, not_rated, latest, time_unit, feedback="events")


def first_properties(
    store: Store,
    settings: Settings,
    connection: duckdb.DuckDBPyConnection,
    staged: Sequence[StagedFile],
    id_types: dict[str, str],
) -> Properties:
    """The properties that the files of a first run show, the types of their ids given.

    Raises DataError if they have no ratings.
    """
    if not staged:
        raise DataError(
            f"found no ratings in {store.shown(store.landing)}, expected a file there: {FORMATS}"
        )
    rows = " UNION ALL ".join(f"FROM {file.view}" for file in staged)
    low, high = connection.execute(f"""
        SELECT min(value), max(value) FROM ({rows})
        WHERE reason IS NULL OR starts_with(reason, '{OUTSIDE}')""").fetchall()[0]
    ends = [(file.plain.low, file.plain.high) for file in staged if file.plain]
    if low is not None:
        ends.append((low, high))
    if not ends:
        example = connection.execute(f"SELECT raw, reason FROM ({rows}) LIMIT 1").fetchone()
        shown = f"rows such as {example[0]!r} ({example[1]})" if example else "no rows"
        raise DataError(f"found {shown} in the first run's files, expected ratings")
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    if settings.feedback == "events":
        log.info("first run: %s, events; kept from now on", id_types)
        return Properties(id_types, None)
    log.info("first run: %s, ratings from %g to %g; kept from now on", id_types, low, high)
    return Properties(id_types, scale(settings, [low, high]))


def scale(settings: Settings, stored: Sequence[float] | None) -> list[float] | None:
    """The ends of the scale, those of the settings before those that the store keeps.

    None for events.
    """
    if stored is None:
        return None
    low = stored[0] if settings.rating_low is None else settings.rating_low
    high = stored[1] if settings.rating_high is None else settings.rating_high
    if low >= high:
        raise DataError(
            f"found the rating scale {low:g} to {high:g}, expected two different ends: "
            "set rating_low and rating_high"
        )
    return [low, high]
