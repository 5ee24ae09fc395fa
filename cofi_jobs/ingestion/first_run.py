"""A store's first run: its files show what ids and ratings are, then they are judged by that."""

from collections.abc import Mapping
from dataclasses import replace

from cofi_jobs.ingestion import times
from cofi_jobs.ingestion.id_types import ADVICE, count_ids, id_types
from cofi_jobs.ingestion.known_columns import ID_COLUMNS
from cofi_jobs.ingestion.properties import Properties, bounds, first_properties
from cofi_jobs.ingestion.staged_files import StagedFiles
from cofi_jobs.ingestion.verdicts import Bounds
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store


def fix_id_types(files: StagedFiles) -> dict[str, str]:
    """The types of ids that the files show.

    Files that would have been judged otherwise, had the types been known, are read again.
    """
    if files.settings.id_type != "auto":
        return dict.fromkeys(ID_COLUMNS, files.settings.id_type)
    counts = {file: count_ids(files.connection, rows) for file, rows in files.rows.items()}
    types = id_types(list(counts.values()))
    limits = _first_bounds(files.settings, types)
    for file, rows in list(files.rows.items()):
        has_odd_ids = any(counts[file].n_odd[column] for column in limits.integers)
        if has_odd_ids or (rows.plain and "string" in types.values()):
            files.stage_again(file, limits)
    return types


def fix_properties(store: Store, files: StagedFiles, types: dict[str, str]) -> Properties:
    """The properties that the files show, the types of ids given.

    Files with ratings outside the scale are read again. Raises DataError if there are no ratings.
    """
    properties = first_properties(
        store, files.settings, files.connection, [*files.rows.values()], types
    )
    limits = _first_bounds(files.settings, types)
    if properties.scale in (None, [limits.low, limits.high]):
        return properties  # nothing is outside, or is rejected already
    low, high = properties.scale
    limits = replace(limits, low=low, high=high)
    for file, rows in list(files.rows.items()):
        outside = f"SELECT 1 FROM ({rows.ratings}) WHERE NOT {limits.hold} LIMIT 1"
        if files.connection.execute(outside).fetchall():
            files.stage_again(file, limits)
    return properties


def _first_bounds(settings: Settings, types: Mapping[str, str]) -> Bounds:
    limits = bounds(settings, None, times.latest_now())
    if settings.id_type != "auto":
        return limits
    integers = [column for column in ID_COLUMNS if types[column] == "integer"]
    return replace(limits, integers=integers, advice=ADVICE)
