"""A store's first run: its files show what ids and ratings are, then they are judged by that."""

from collections.abc import Mapping
from dataclasses import replace

from cofi_jobs.ingestion import times
from cofi_jobs.ingestion.id_types import ADVICE, IdCounts, id_types
from cofi_jobs.ingestion.known_columns import ID_COLUMNS
from cofi_jobs.ingestion.properties import Properties, bounds, first_properties
from cofi_jobs.ingestion.shown_ratings import NO_RATINGS
from cofi_jobs.ingestion.staged_files import StagedFiles
from cofi_jobs.ingestion.verdicts import Bounds
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store


def fix_id_types(files: StagedFiles, settings: Settings) -> dict[str, str]:
    """The types of ids that the files show.

    Files that would have been judged otherwise, had the types been known, are read again.
    """
    if settings.id_type != "auto":
        return dict.fromkeys(ID_COLUMNS, settings.id_type)
    counts = {file: files.ids(file) for file in files.files}
    types = id_types(list(counts.values()))
    limits = _first_bounds(settings, types)

    def is_misread(ids: IdCounts) -> bool:
        has_odd_ids = any(ids.n_odd[column] for column in limits.integers)
        return has_odd_ids or (ids.are_written and "string" in types.values())

    files.stage_again([file for file, ids in counts.items() if is_misread(ids)], limits)
    return types


def fix_properties(
    store: Store, files: StagedFiles, settings: Settings, types: dict[str, str]
) -> Properties:
    """The properties that the files show, the types of ids given.

    Files with ratings outside the scale are read again. Raises DataError if there are no ratings.
    """
    total, ends = NO_RATINGS, {}
    for file in files.files:
        ratings = files.ratings(file)
        total += ratings
        ends[file] = ratings.ends
    properties = first_properties(store, settings, files, total, types)
    limits = _first_bounds(settings, types)
    if properties.scale in (None, [limits.low, limits.high]):
        return properties  # nothing is outside, or is rejected already
    low, high = properties.scale
    limits = replace(limits, low=low, high=high)
    outside = [file for file in files.files if not limits.hold_of(ends[file])]
    files.stage_again(outside, limits)
    return properties


def _first_bounds(settings: Settings, types: Mapping[str, str]) -> Bounds:
    limits = bounds(settings, None, times.latest_now())
    if settings.id_type != "auto":
        return limits
    integers = [column for column in ID_COLUMNS if types[column] == "integer"]
    return replace(limits, integers=integers, advice=ADVICE)
