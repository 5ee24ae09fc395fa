"""Ingest: new ratings become this run's batch; bad rows go to rejected/ with a reason."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from cofi_jobs.core.errors import DataError, StoreError
from cofi_jobs.core.progress import track
from cofi_jobs.erasure.tombstones import Tombstones
from cofi_jobs.ingestion import bucket_files, feedback, query_rows, staging, times
from cofi_jobs.ingestion.batch import (
    Batch,
    FileRecord,
    NewFile,
    by_name,
    find_batch,
    reasons,
    totals,
)
from cofi_jobs.ingestion.id_types import ADVICE, ID_COLUMNS, count_ids, id_types
from cofi_jobs.ingestion.landing import settled
from cofi_jobs.ingestion.missing import has_numbers
from cofi_jobs.ingestion.properties import Properties, bounds, first_properties, scale
from cofi_jobs.ingestion.staging import StagedFile
from cofi_jobs.ingestion.verdicts import NOT_RATED, Bounds
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.batches import show_rejected
from cofi_jobs.store.drops import drops, remove
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


def run(
    store: Store, settings: Settings, run_key: str, ratings: Sequence[Path] = ()
) -> dict[str, Any]:
    """Take what is new of the sources, files and rows of the query, into the batch of this run.

    See `take`.
    """
    with (
        query_rows.extracted(store, settings, run_key) as extract,
        bucket_files.downloaded(store, settings, run_key) as download,
    ):
        outcome = take(store, settings, run_key, [*ratings, *extract.files, *download.files])
    for file in outcome["files"]:
        if Path(file["path"]) in extract.files:
            file["source"] = extract.source
    return {
        **outcome,
        "reads": [*extract.reads, *download.reads],
        "objects": dict(download.objects),
    }


@dataclass(frozen=True)
class _Folders:
    """Where good and bad rows go: an earlier attempt's folders, and those that replace them."""

    old_taken: Path
    old_rejected: Path
    taken: Path
    rejected: Path


def take(store: Store, settings: Settings, run_key: str, ratings: Sequence[Path]) -> dict[str, Any]:
    """Take every new file of the landing folder, and the files given, into the batch of this run.

    A file is new if no other run has taken a file of the same content. A rerun makes its own batch
    again, and keeps what it took from files that have since gone. Raises DataError for a file that
    cannot be read as ratings, and if too many rows are rejected; then nothing is taken, and
    rejected/ shows them unless the run has a batch already.
    """
    _check_not_compacted(store, run_key)
    erased = Tombstones(store)
    landed = settled(drops(store.landing), settings.settle_seconds)
    batch = find_batch(store, run_key, [*landed, *(path.absolute() for path in ratings)])
    known = _known_properties(store, run_key, batch)
    with (
        store.replace_folder(store.ratings(run_key)) as taken,
        store.replace_folder(store.rejected(run_key)) as rejected,
        sql.connect(settings, taken) as connection,
    ):
        folders = _Folders(store.ratings(run_key), store.rejected(run_key), taken, rejected)
        _remove_replayed(connection, store, settings, batch, erased)
        staging.open_database(connection, settings)
        stored = known.feedback if known else None
        paths = [file.path for file in batch.new]
        kind = feedback.decide(connection, settings, stored, paths)
        settings = settings.model_copy(update={"feedback": kind})
        staged = _stage(connection, settings, batch, known, erased, taken)
        properties = known
        if properties is None:
            properties = _first_properties(
                connection, store, settings, run_key, staged, erased, folders
            )
        properties = _corrected(settings, properties)
        ends = properties.scale
        written = _write(connection, staged, properties.id_types, ends, folders)
        _keep_gone(batch, folders)
        records = by_name([*written, *batch.gone])
        _check_rejected(store, settings, run_key, records, rejected)
    store.records.write_properties(properties.record())
    _log_batch(store, run_key, records)
    return {
        **totals(records),
        "feedback": properties.feedback,
        "scale": ends,
        "id_types": properties.id_types,
        "files": records,
    }


def _check_not_compacted(store: Store, run_key: str) -> None:
    compacted = store.records.compacted()["batches"]
    if compacted and run_key <= compacted[-1]:
        raise StoreError(
            f"found the batches up to {compacted[-1]} compacted, "
            f"so run {run_key} can take no more ratings"
        )


def _known_properties(store: Store, run_key: str, batch: Batch) -> Properties | None:
    """The store's properties, None in the first run or a rerun of it, which finds them.

    What was taken from files that have gone fits the properties, so they stay.
    """
    record = store.records.properties()
    if record is None or (store.batches() in ([], [run_key]) and not batch.gone):
        return None
    return Properties.of(record)


def _remove_replayed(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    settings: Settings,
    batch: Batch,
    erased: Tombstones,
) -> None:
    """Remove landed files with rows of erased users whose content an earlier run took."""
    for path in batch.replayed if erased.users else ():
        if path.is_relative_to(store.landing) and staging.shows_erased(
            connection, path, settings, erased
        ):
            remove(path, store.landing)
            log.info(
                "removed a file with rows of erased users, whose content an earlier run took: %s",
                path,
            )


def _stage(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    batch: Batch,
    known: Properties | None,
    erased: Tombstones,
    taken: Path,
) -> dict[NewFile, StagedFile]:
    """Judge the rows of all new files.

    Where all ids may be integers, plain files are read the short way.
    """
    limits = bounds(settings, known, times.latest_now())
    integers = len(limits.integers) == 2 or (known is None and settings.id_type == "auto")
    staged = {}
    for number, file in enumerate(track(batch.new, "reading rating files")):
        target = taken / file.part if integers else None
        staged[file] = _stage_file(connection, settings, number, file, limits, erased, target)
    return staged


def _stage_file(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    number: int,
    file: NewFile,
    limits: Bounds,
    erased: Tombstones,
    target: Path | None,
) -> StagedFile:
    """Judge the rows of a file, at once into `target` where that can be."""
    plainly = not erased.users and not has_numbers(settings.missing)
    staged = staging.stage(
        connection, number, file.path, settings, limits, target if plainly else None
    )
    file.check_unchanged()
    if erased.users:
        staging.reject_erased(connection, staged, erased)
    return staged


def _first_properties(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    settings: Settings,
    run_key: str,
    staged: dict[NewFile, StagedFile],
    erased: Tombstones,
    folders: _Folders,
) -> Properties:
    """The properties that the files of a first run show; the files are judged by them.

    Raises DataError if the files show none. If most rows were rejected, the error says why.
    """
    types = _fix_id_types(connection, settings, staged, erased, folders.taken)
    try:
        properties = first_properties(store, settings, connection, [*staged.values()], types)
    except DataError:
        records = _write(connection, staged, types, None, folders)
        _check_rejected(store, settings, run_key, records, folders.rejected)
        raise
    _reject_outside(connection, settings, staged, properties, erased, folders.taken)
    return properties


def _fix_id_types(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    staged: dict[NewFile, StagedFile],
    erased: Tombstones,
    taken: Path,
) -> dict[str, str]:
    """The types of ids that the files of a first run show.

    Files that would have been judged otherwise, had the types been known, are read again.
    """
    if settings.id_type != "auto":
        return dict.fromkeys(ID_COLUMNS, settings.id_type)
    counts = {file: count_ids(connection, rows) for file, rows in staged.items()}
    types = id_types(list(counts.values()))
    limits = _first_bounds(settings, types)
    for file, rows in staged.items():
        if any(counts[file].n_odd[column] for column in limits.integers) or (
            rows.plain and "string" in types.values()
        ):
            target = taken / file.part if len(limits.integers) == 2 else None
            staged[file] = _stage_file(
                connection, settings, rows.number, file, limits, erased, target
            )
    return types


def _reject_outside(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    staged: dict[NewFile, StagedFile],
    properties: Properties,
    erased: Tombstones,
    taken: Path,
) -> None:
    """Read the files of a first run again that have ratings outside the scale that they show."""
    if properties.scale is None:
        return
    low, high = properties.scale
    limits = replace(_first_bounds(settings, properties.id_types), low=low, high=high)
    for file, rows in staged.items():
        outside = f"SELECT 1 FROM ({rows.ratings}) WHERE NOT {limits.hold} LIMIT 1"
        if connection.execute(outside).fetchall():
            target = taken / file.part if len(limits.integers) == 2 else None
            staged[file] = _stage_file(
                connection, settings, rows.number, file, limits, erased, target
            )


def _first_bounds(settings: Settings, types: Mapping[str, str]) -> Bounds:
    """The bounds of a first run of which the types of ids are known."""
    limits = bounds(settings, None, times.latest_now())
    if settings.id_type != "auto":
        return limits
    integers = [column for column in ID_COLUMNS if types[column] == "integer"]
    return replace(limits, integers=integers, advice=ADVICE)


def _corrected(settings: Settings, properties: Properties) -> Properties:
    """The properties with the ends of the scale that settings give; the store keeps them."""
    ends = scale(settings, properties.scale)
    if ends and properties.scale and ends != properties.scale:
        log.warning(
            "the scale changes from %g to %g into %g to %g, which the store keeps; ratings "
            "outside the old scale were rejected by earlier runs and are not read again",
            *(*properties.scale, *ends),
        )
    return replace(properties, scale=ends)


def _write(
    connection: duckdb.DuckDBPyConnection,
    staged: Mapping[NewFile, StagedFile],
    id_types: Mapping[str, str],
    ends: Sequence[float] | None,
    folders: _Folders,
) -> list[FileRecord]:
    """Write the good and the bad rows of each file."""
    records = []
    for file, rows in staged.items():
        taken, rejected = folders.taken / file.part, folders.rejected / file.part
        counts = staging.write(connection, rows, file.name, id_types, ends, taken, rejected)
        records.append(file.record(counts))
        log.info(
            "%s: %d rows read, %d taken, %d rejected",
            *(file.path, counts["rows_read"], counts["rows_taken"], counts["rows_refused"]),
        )
        if rows.time_unit == times.ORDER:
            log.info("%s: the times are small whole numbers, which are used as an order", file.path)
        elif rows.time_unit not in (None, times.SECONDS):
            log.info("%s: the times are read as %s", file.path, rows.time_unit)
    return records


def _keep_gone(batch: Batch, folders: _Folders) -> None:
    """Keep what an earlier attempt of this run took from files that are gone."""
    for record in batch.gone:
        log.warning(
            "%s is gone; what an earlier attempt of this run took from it is kept", record["path"]
        )
        for old, new in (
            (folders.old_taken, folders.taken),
            (folders.old_rejected, folders.rejected),
        ):
            if (old / record["part"]).exists():
                (new / record["part"]).hardlink_to(old / record["part"])


def _check_rejected(
    store: Store,
    settings: Settings,
    run_key: str,
    records: Sequence[FileRecord],
    rejected: Path,
) -> None:
    """Raise DataError if too many of a run's rows were rejected.

    Rows of erased users, and rows that say that there is no rating, are no errors.
    """
    counts = reasons(records)
    n_aside = sum(counts.pop(reason, 0) for reason in (staging.ERASED, NOT_RATED))
    n_read = sum(record["rows_read"] for record in records) - n_aside
    if counts.total() <= settings.max_rejected * n_read:
        return
    if run_key not in store.batches():
        show_rejected(store, run_key, rejected)
    why = ", ".join(f"{reason} ({count})" for reason, count in counts.most_common(5))
    worst = max(records, key=lambda record: record["rows_refused"])
    raise DataError(
        f"found {counts.total()} of {n_read} rows to be rejected, "
        f"expected at most {settings.max_rejected:g} of them (setting max_rejected): {why}; "
        f"most are in {worst['path']}; nothing was taken"
    )


def _log_batch(store: Store, run_key: str, records: Sequence[FileRecord]) -> None:
    for reason, count in reasons(records).items():
        log.warning("%d rows rejected: %s (see %s)", count, reason, store.rejected(run_key))
    if not records:
        log.info("no new rating files in %s", store.shown(store.landing))
