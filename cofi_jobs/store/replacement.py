"""Replacing a recorded file of a run: at any moment its record agrees with the file that is there.

The record has the digests of both files before the new one replaces the old one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cofi_jobs.store import layout
from cofi_jobs.store.digests import RecordedFile, digest_of, files_of_run
from cofi_jobs.store.manifest_files import describe, footer_sha256
from cofi_jobs.store.record_shapes import FileDigest
from cofi_jobs.store.run_shapes import PublishedFile
from cofi_jobs.store.store import Store

BEFORE = "_before"  # end of the names of digests of the replaced file


@contextmanager
def replace_recorded(store: Store, target: Path) -> Iterator[Path]:
    """As `Store.replace_file`, for a file of a table of a run.

    Raises DamageError if the file that is there is not as it was written.
    """
    before = checked_digest(store, target)
    with store.replace_file(target) as new:
        yield new
        record_both(store, target, new, before)


def checked_digest(store: Store, path: Path) -> FileDigest | None:
    """The digest of a file of a run, None if no record has one. Raises DamageError as above."""
    file = _recorded(store, path)
    if file is None:
        return None
    digest = store.measure(file.name)
    store.require(file, digest)
    return digest


def record_both(store: Store, target: Path, new: Path, before: FileDigest | None) -> None:
    """From here on the file `target` may be as it was (`before`), or as the file `new`."""
    file = _recorded(store, target)
    if file is None or before is None:
        return
    if file.is_in_manifest:
        _record_in_manifest(store, file, new, before)
    else:
        _record_in_outcome(store, file, new, before)


def settle(store: Store, run_key: str) -> None:
    """Forget the replaced files in the outcomes of a run's tasks."""
    for task, outcome in store.records.outcomes(run_key).items():
        files = {name: settled(file) for name, file in outcome.get("digests", {}).items()}
        if files != outcome.get("digests", {}):
            store.records.write_outcome(run_key, task, {**outcome, "digests": files})


def settled(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a file without the digests of the file that it replaced."""
    return {name: value for name, value in record.items() if not name.endswith(BEFORE)}


def _recorded(store: Store, path: Path) -> RecordedFile | None:
    name = str(path.relative_to(store.root))
    run_key = layout.run_of(name)
    return files_of_run(store.records, run_key).get(name) if run_key else None


def _record_in_outcome(store: Store, file: RecordedFile, new: Path, before: FileDigest) -> None:
    run_key = layout.run_of(file.name) or ""
    outcome = store.required_outcome(run_key, file.task)
    outcome["digests"][file.name] = {**digest_of(new), f"sha256{BEFORE}": before["sha256"]}
    store.records.write_outcome(run_key, file.task, outcome)
    store.write_ahead(layout.outcome(run_key, file.task))


def _record_in_manifest(store: Store, file: RecordedFile, new: Path, before: FileDigest) -> None:
    run_key = layout.run_of(file.name) or ""
    manifest = store.manifest(run_key) or {}

    def replaced(record: PublishedFile) -> dict[str, Any]:
        if layout.table(run_key, record["path"]) != file.name:
            return {**record}
        old = {f"sha256{BEFORE}": before["sha256"]}
        if "footer_sha256" in record:
            with store.path(file.name).open("rb") as content:
                old[f"footer_sha256{BEFORE}"] = footer_sha256(content)
        return {**describe(new, new.parent), "path": record["path"], **old}

    files = [replaced(record) for record in manifest["files"]]
    store.records.write_manifest(run_key, {**manifest, "files": files})
    store.write_ahead(layout.manifest(run_key))
