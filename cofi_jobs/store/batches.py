"""The batches of a store: a batch is the ratings that one run took in.

One place says in which file the ratings of a batch are: the outcome of the batch's ingest names its
files, unless merged.json lists the batch; then the ratings are in the file that merged.json names.
Both records are replaced in one step, after the files that they name were written and before the
files that they named are removed. So at any moment each rating is found once, and files that no
record names are leftovers, which `vacuum` removes.
"""

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from cofi_jobs.core.errors import StoreError
from cofi_jobs.store import files, layout
from cofi_jobs.store.digests import RecordedFile, compacted_file, files_of_run
from cofi_jobs.store.drops import parts
from cofi_jobs.store.record_kinds import BACKUP
from cofi_jobs.store.removal import finish_removals
from cofi_jobs.store.store import Store


def compacted_part(store: Store, name: str) -> Path:
    """A file of compacted batches; without a name the folder of these files."""
    return store.root / layout.COMPACTED_PARTS / name


def rating_parts(store: Store, up_to: str | None = None) -> dict[Path, int]:
    """Files with the ratings of all batches up to a run's, in order of arrival, and their rows.

    Raises StoreError if some of the batches are compacted with later ones, which the run must not
    see, and as `check_records` does.
    """
    check_records(store)
    compacted = store.records.compacted()
    if up_to is not None and compacted["batches"]:
        last = compacted["batches"][-1]
        if store.records.order().is_before(up_to, last):
            raise StoreError(
                f"found the batches up to {last} compacted, "
                f"so a run {up_to} cannot be made any more"
            )
    parts: dict[Path, int] = {}
    if compacted["part"] is not None:
        parts[compacted_part(store, compacted["part"])] = compacted["rows"]
    for key in store.batches(up_to):
        if key not in compacted["batches"]:
            for file in store.required_outcome(key, "ingest")["files"]:
                rows = file["rows_taken"] - file.get("rows_erased", 0)
                parts[store.ratings(key) / file["part"]] = rows
    return parts


def checked_parts(store: Store, up_to: str | None = None) -> dict[Path, int]:
    """`rating_parts` to read: each file is as it was written, else DamageError is raised."""
    parts = rating_parts(store, up_to)
    store.check(records_of_parts(store, parts, up_to).values())
    return parts


def records_of_parts(
    store: Store, parts: Collection[Path], up_to: str | None = None
) -> dict[Path, RecordedFile]:
    """What `rating_parts` are compared with; those that an older version wrote have no record."""
    compacted = compacted_file(store.records)
    recorded = [compacted] if compacted else []
    for key in store.batches(up_to):
        recorded += files_of_run(store.records, key).values()
    by_path = ((store.standing(file.name), file) for file in recorded)
    return {path: file for path, file in by_path if path in parts}


def check_records(store: Store) -> None:
    """Raise StoreError if the record of a batch is lost that a published run was made from."""
    published, batches = store.records.published_with_tables(), {*store.batches()}
    manifest = (store.manifest(published[-1]) if published else None) or {}
    lost = [key for key in manifest.get("batches", []) if key not in batches]
    if lost:
        name = layout.outcome(lost[0], "ingest")
        raise StoreError(
            f"found no {store.path(name)}, expected that of a batch which the run {published[-1]} "
            f"was made from; {BACKUP}"
        )


def _check_all_parts_are_there(store: Store) -> None:
    """Raise StoreError if a file of ratings is missing where the records say that it is.

    Then a file that no record names may hold the only copy of ratings, and is no leftover.
    """
    for path, n_rows in rating_parts(store).items():
        if n_rows and not path.exists():
            raise StoreError(
                f"found no {path}, expected {n_rows} ratings there. If {layout.COMPACTED} is lost "
                f"or old, {BACKUP}; else restore this file. Nothing was removed"
            )


def taken_digests(store: Store) -> set[str]:
    """SHA-256 of every file that was taken into a batch."""
    return {
        file["sha256"]
        for key in store.batches()
        for file in store.required_outcome(key, "ingest")["files"]
    }


def check_all_taken(store: Store, run_key: str, paths: Iterable[Path]) -> None:
    """Raise StoreError if a published run is given a file, or a part, that no batch has."""
    taken = taken_digests(store)
    for path in paths:
        if not all(files.sha256(part) in taken for part in parts(path)):
            raise StoreError(
                f"run {run_key} is published and never rewritten; give {path} to another run key"
            )


def show_rejected(store: Store, run_key: str, folder: Path) -> None:
    """Keep the rejected rows of a run that takes nothing because of them, until the next vacuum."""
    shutil.rmtree(store.rejected(run_key), ignore_errors=True)
    folder.rename(store.rejected(run_key))
    files.sync(store.rejected(run_key).parent)


def vacuum(store: Store) -> None:
    """Remove files of ratings and of rejected rows that no record names, but not those of a person.

    Only while no task reads or writes batches. Raises StoreError, and removes nothing, if a record
    is lost: then what no record names may be the only copy of ratings.
    """
    check_records(store)
    compacted = store.records.compacted()
    unnamed = {*store.root.glob(layout.ALL_COMPACTED_PARTS)}
    if compacted["part"] is not None:
        unnamed.discard(compacted_part(store, compacted["part"]))
    if unnamed:
        _check_all_parts_are_there(store)
    for path in [*unnamed, *store.root.glob(f"{layout.TEMPORARY}file-*")]:
        files.remove(path)  # those of a killed `replace_file`, too
    for key in compacted["batches"]:
        files.remove(store.ratings(key))
    batches = store.batches()
    complete = {store.rejected(key) for key in batches}
    begun = {store.rejected(run["key"]) for run in store.records.begun()}
    for folder in store.root.glob(layout.ALL_REJECTED):
        if folder in begun - complete:
            files.remove(folder)
    for key in batches:
        parts = {file["part"] for file in store.required_outcome(key, "ingest")["files"]}
        for folder in (store.ratings(key), store.rejected(key)):
            for path in folder.glob("part-*.parquet"):
                if path.name not in parts:
                    files.remove(path)


def recover(store: Store) -> None:
    """Finish or undo what killed processes left half done, and vacuum. Only while no task works.

    Folders where others than tasks write are left alone. Raises as `vacuum` does.
    """
    files.finish_replacements(store.root, layout.WRITTEN)
    store.align_link()
    finish_removals(store)
    vacuum(store)
