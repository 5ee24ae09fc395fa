"""Verify: compare the files of the store with the SHA-256 in the records: disks lose bits silently.

In a bucket the files are read there, not in the local copy. One block of a file is in memory.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cofi_jobs.core.errors import CofiError, DamageError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import layout
from cofi_jobs.store.batches import check_records
from cofi_jobs.store.digests import (
    BACKUP,
    FileDigest,
    RecordedFile,
    compacted_file,
    files_of_run,
    measure,
)
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import required
from cofi_jobs.tasks.registry import DECLARED

log = logging.getLogger(__name__)


@dataclass
class Compared:
    """How much was compared, and how much of it is not as it was written."""

    files: int = 0
    bytes: int = 0
    damaged: int = 0

    def in_words(self) -> str:
        """The counts as one sentence."""
        size = f"{self.files:,} files, {self.bytes / 1e6:,.1f} MB"
        return f"{size} compared with the records, {self.damaged:,} damaged"


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Compare every file that a record has with a digest; log a line for each damaged one.

    Raises DamageError if any is damaged.
    """
    compared = Compared()
    for key in dict.fromkeys([*store.batches(), *store.run_keys(), *store.published()]):
        try:
            recorded = files_of_run(store.records, key)
        except CofiError as error:  # a record that cannot be read
            compared.damaged += 1
            log.error("%s; %s", error, BACKUP)
        else:
            removed = _removed_tables(store, key, recorded.values())
            for file in recorded.values():
                if not (file.is_dispensable and file.table in removed):
                    _compare(store, file, compared)
            for name in _lost_outcomes(store, key):
                compared.damaged += 1
                log.error("%s/%s is missing; %s", store.location, name, _advice_on_outcome(key))
    if compacted := compacted_file(store.records):
        _compare(store, compacted, compared)
    try:
        check_records(store)
    except CofiError as error:
        compared.damaged += 1
        log.error("%s", error)
    if old := _batches_without_digests(store):
        log.warning("%d batches of an older version have no digests: %s", len(old), ", ".join(old))
    summary = f"{compared.in_words()}, in {store.location}"
    if compared.damaged:
        raise DamageError(f"{summary}; the lines above name each, and what to do")
    return {"files": compared.files, "bytes": compared.bytes, "damaged": 0, "summary": summary}


def _removed_tables(store: Store, run_key: str, recorded: Iterable[RecordedFile]) -> set[str]:
    """Tables of a published run of which nothing is left: a person has followed `advice`."""
    files = [file for file in recorded if file.is_dispensable]
    removed = {file.table for file in files} - {
        file.table for file in files if _is_there(store, file.name)
    }
    if "trial" not in removed or run_key == store.current():
        removed.discard("normalized")  # the next run, or readers, would miss it
    if store.manifest(run_key) is None:  # the run itself is being removed
        return set()
    for table in sorted(removed):
        log.warning("%s/%s was removed", store.location, layout.table(run_key, table))
    return removed


def _lost_outcomes(store: Store, run_key: str) -> list[str]:
    """Records of the tasks that made a published run, without those that are there.

    `check_records` looks for those of ingest, which outlive the run.
    """
    # First: of a run that is being removed, the manifest goes before them.
    there = {*store.records.files.names(layout.records_of_tasks(run_key))}
    files = (store.manifest(run_key) or {}).get("files", [])
    tables = {f"{layout.RUNS}/*/{file['path'].partition('/')[0]}" for file in files}
    writers = {task.name for task in DECLARED.values() if tables & {*task.writes}}
    made_by = writers.union(*(required(DECLARED, task) for task in writers)) - {"ingest"}
    return sorted({layout.outcome(run_key, task) for task in made_by} - there)


def _advice_on_outcome(run_key: str) -> str:
    return (
        f"{BACKUP}, or remove {layout.table(run_key, 'trial')}, and the next run does without it; "
        "then this is said until the run itself is removed"
    )


def _is_there(store: Store, name: str) -> bool:
    try:
        store.open_stored(name).close()
    except FileNotFoundError:
        return False
    return True


def _compare(store: Store, file: RecordedFile, compared: Compared) -> None:
    compared.files += 1
    compared.bytes += file.digest["bytes"]
    flaw = _flaw(store, file)
    if flaw and file.is_in_batch:
        with store.lock("ingest"):  # the one task that changes files before their record
            flaw = _flaw(store, file)
    if flaw:
        compared.damaged += 1
        log.error("%s/%s %s; %s", store.location, file.name, flaw, file.advice)


def _flaw(store: Store, file: RecordedFile) -> str | None:
    """What is wrong with a file. Nothing, if a task removed it or wrote it again meanwhile."""
    while flaw := file.flaw(_measure(store, file.name)):
        now = _recorded_now(store, file)
        if now == file:
            return flaw
        if now is None:
            return None
        file = now
    return None


def _recorded_now(store: Store, file: RecordedFile) -> RecordedFile | None:
    if file.run_key is not None:
        return files_of_run(store.records, file.run_key).get(file.name)
    now = compacted_file(store.records)
    return now if now and now.name == file.name else None


def _measure(store: Store, name: str) -> FileDigest | None:
    try:
        with store.open_stored(name) as content:
            return measure(content)
    except FileNotFoundError:
        return None


def _batches_without_digests(store: Store) -> list[str]:
    """Batches that an older version took in."""
    compacted = store.records.compacted()["batches"]
    apart = [key for key in store.batches() if key not in compacted]
    return [key for key in apart if "digests" not in store.required_outcome(key, "ingest")]
