"""Ingest: new ratings become this run's batch; bad rows go to rejected/ with a reason."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from cofi_jobs.core.errors import DataError, StoreError
from cofi_jobs.core.feedback import Feedback
from cofi_jobs.engine.engines import flow_on
from cofi_jobs.erasure.tombstones import Tombstones
from cofi_jobs.ingestion import (
    bucket_files,
    counted,
    feedback,
    first_run,
    query_rows,
    staging,
    times,
)
from cofi_jobs.ingestion.batch import (
    Batch,
    by_name,
    find_batch,
    reasons,
    totals,
)
from cofi_jobs.ingestion.formats import forget_lines, rating_file
from cofi_jobs.ingestion.landing import settled
from cofi_jobs.ingestion.many_rejected import check_rejected
from cofi_jobs.ingestion.output import Output
from cofi_jobs.ingestion.packed import is_empty
from cofi_jobs.ingestion.properties import Properties, bounds, scale
from cofi_jobs.ingestion.staged_files import StagedFiles
from cofi_jobs.ingestion.staged_here import StagedHere
from cofi_jobs.ingestion.staged_on_engine import StagedOnEngine, is_worth_it
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import layout, sql
from cofi_jobs.store.digests import files_in
from cofi_jobs.store.drops import drops, remove
from cofi_jobs.store.run_shapes import TakenFile
from cofi_jobs.store.source_roots import SourceRoots
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
    dropped = map(SourceRoots.of(store).check, drops(store.landing))
    landed = settled([*dropped], settings.settle_seconds)
    batch = find_batch(store, run_key, [*landed, *(path.absolute() for path in ratings)])
    known = _known_properties(store, run_key, batch)
    with (
        store.replace_folder(store.ratings(run_key)) as taken,
        store.replace_folder(store.rejected(run_key)) as rejected,
        sql.connect(settings, taken) as connection,
        _staged(connection, settings, StagedHere(connection, erased, taken, batch.new)) as files,
    ):
        folders = _Folders(store.ratings(run_key), store.rejected(run_key), taken, rejected)
        _remove_replayed(connection, store, settings, batch, erased)
        settings, count_column = _counts(settings, known, files)
        kind = _feedback(settings, known, files)
        settings = settings.model_copy(update={"feedback": kind})
        limits = bounds(settings, known, times.latest_now())
        files.stage(settings, limits, first_run=known is None)
        properties = known or _first_properties(
            connection, store, files, settings, run_key, folders
        )
        properties = replace(properties, count_column=count_column)
        properties = _corrected(settings, properties)
        ends = properties.scale
        written = _write(files, properties.id_types, ends, folders)
        _keep_gone(store, run_key, batch, folders)
        records = by_name([*written, *batch.gone])
        check_rejected(connection, store, settings, run_key, records, rejected)
    store.records.write_properties(properties.record())
    _log_batch(store, run_key, records)
    return {
        **totals(records),
        "feedback": properties.feedback,
        "scale": ends,
        "id_types": properties.id_types,
        "files": records,
    }


@contextmanager
def _staged(
    connection: duckdb.DuckDBPyConnection, settings: Settings, here: StagedHere
) -> Iterator[StagedFiles]:
    """The new files, where the setting `engine` says."""
    staging.open_database(connection, settings)
    if settings.engine == "local" or not is_worth_it(here.files):
        yield here
        return
    with flow_on(settings) as flow:
        yield StagedOnEngine(flow, here)


def _counts(
    settings: Settings, known: Properties | None, files: StagedFiles
) -> tuple[Settings, str | None]:
    """The settings with the column of counts that the first run found; that column, if any."""
    if known is None:
        columns = files.ask(counted.counted_columns, settings, files.files)
        shown = counted.with_counts(settings, columns)
        return shown, None if shown is settings else shown.count_column
    if known.count_column and not settings.count_column:
        settings = settings.model_copy(update={"count_column": known.count_column})
    return settings, known.count_column


def _feedback(settings: Settings, known: Properties | None, files: StagedFiles) -> Feedback:
    """What the files are read as."""
    stored = known.feedback if known else None
    ratings = files.ask(feedback.ratings_in, settings, files.files)
    paths = (file.path for file in files.files)
    return feedback.decide(settings, stored, zip(paths, ratings, strict=True))


def _check_not_compacted(store: Store, run_key: str) -> None:
    compacted = store.records.compacted()["batches"]
    if compacted and not store.records.order().is_before(compacted[-1], run_key):
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
        if path.is_relative_to(store.landing) and _shows_erased(connection, path, settings, erased):
            remove(path, store.landing)
            log.info(
                "removed a file with rows of erased users, whose content an earlier run took: %s",
                path,
            )


def _shows_erased(
    connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings, erased: Tombstones
) -> bool:
    """Whether a file that was taken before has rows of erased users."""
    if is_empty(path):
        return False
    query = rating_file(connection, path, settings).query
    users = connection.execute(
        f"SELECT DISTINCT user_id FROM ({query}) WHERE user_id IS NOT NULL"
    ).fetchall()
    forget_lines(connection, path)
    return bool(erased.until(user_id for (user_id,) in users))


def _first_properties(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    files: StagedFiles,
    settings: Settings,
    run_key: str,
    folders: _Folders,
) -> Properties:
    """The properties that the files of a first run show.

    Raises DataError if they show none. If most rows were rejected, the error says why.
    """
    types = first_run.fix_id_types(files, settings)
    try:
        return first_run.fix_properties(store, files, settings, types)
    except DataError:
        records = _write(files, types, None, folders)
        check_rejected(connection, store, settings, run_key, records, folders.rejected)
        raise


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
    files: StagedFiles,
    id_types: Mapping[str, str],
    ends: Sequence[float] | None,
    folders: _Folders,
) -> list[TakenFile]:
    """Write the good and the bad rows of each file."""
    records = []
    output = Output(id_types, ends, folders.taken, folders.rejected)
    for file, counts in files.write(output):
        records.append(file.record(counts))
        log.info(
            "%s: %d rows read, %d taken, %d rejected",
            *(file.path, counts["rows_read"], counts["rows_taken"], counts["rows_refused"]),
        )
        unit = counts["time_unit"]
        if unit == times.ORDER:
            log.info("%s: the times are small whole numbers, which are used as an order", file.path)
        elif unit not in (None, times.SECONDS):
            log.info("%s: the times are read as %s", file.path, unit)
    return records


def _keep_gone(store: Store, run_key: str, batch: Batch, folders: _Folders) -> None:
    """Keep what an earlier attempt of this run took from files that are gone."""
    for record in batch.gone:
        log.warning(
            "%s is gone; what an earlier attempt of this run took from it is kept", record["path"]
        )
        for name, old, new in (
            (layout.ratings(run_key), folders.old_taken, folders.taken),
            (layout.rejected(run_key), folders.old_rejected, folders.rejected),
        ):
            store.check(files_in(store.records, run_key, name, [record["part"]]))
            if (old / record["part"]).exists():
                (new / record["part"]).hardlink_to(old / record["part"])


def _log_batch(store: Store, run_key: str, records: Sequence[TakenFile]) -> None:
    for reason, count in reasons(records).items():
        log.warning("%d rows rejected: %s (see %s)", count, reason, store.rejected(run_key))
    if not records:
        log.info("no new rating files in %s", store.shown(store.landing))
