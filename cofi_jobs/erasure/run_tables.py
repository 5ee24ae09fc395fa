"""Erased users in the tables of runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cofi_jobs.core.errors import DamageError
from cofi_jobs.erasure.faults import Faults
from cofi_jobs.erasure.matching import Matches, column_of_users, hashes_among, path_is_of
from cofi_jobs.erasure.tombstones import Tombstones
from cofi_jobs.store import files, layout, parquet
from cofi_jobs.store.files import finish_replacement, parquet_files
from cofi_jobs.store.layout import RUNS
from cofi_jobs.store.record_kinds import BACKUP
from cofi_jobs.store.replacement import (
    checked_digest,
    record_both,
    replace_recorded,
    settle,
    settled,
)
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


def clean_published(store: Store) -> None:
    """Remove erased users from published runs that still show them.

    Only within the lock "publish". A run that has lost its manifest since is cleaned as well. What
    is damaged cannot be cleaned; everything else is.

    Raises StoreError that names what could not be cleaned; the next call tries again.
    """
    files.remove(_away(store))
    tombstones = Tombstones(store)
    runs = sorted({key for user in tombstones.users.values() for key in user["pending"]})
    if not runs:
        return
    store.fetch(RUNS)
    faults, uncleaned = Faults(), list(runs)
    for key in runs:
        users = {digest for digest, user in tombstones.users.items() if key in user["pending"]}
        with faults.kept():
            _clean_pending_run(store, key, hashes_among(users, tombstones.key), len(users))
            for digest in users:
                tombstones.users[digest]["pending"].remove(key)
            store.records.write_tombstones(list(tombstones.users.values()))
            uncleaned.remove(key)
    if cleaned := [key for key in runs if key not in uncleaned]:
        log.info("removed erased users from the published runs %s", ", ".join(cleaned))
    faults.raise_all(f"erased users may still be in {', '.join(uncleaned)}: ")


def _clean_pending_run(store: Store, key: str, gone: Matches, n_users: int) -> None:
    """Remove users from a run that was published when they were erased, if it is there."""
    if key not in store.run_keys():  # removed since
        return
    manifest = store.manifest(key)
    if manifest is None:
        clean_run(store, key, gone, with_published=True)
    else:
        _clean_published_run(store, key, manifest, gone, n_users)


def _clean_published_run(
    store: Store, key: str, manifest: dict[str, Any], gone: Matches, n_users: int
) -> None:
    """Remove users from a published run and bring its manifest up to date."""
    listed = manifest["files"]
    note = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "users": n_users}
    notes = [*manifest.get("erasures", []), note]
    remaining = [file for file in listed if not path_is_of(file["path"], gone)]
    if remaining != listed:  # files of one user each: the manifest forgets them before they go
        manifest = {**manifest, "files": remaining, "erasures": notes}
        store.records.write_manifest(key, manifest)
    clean_run(store, key, gone, with_published=True)
    now = store.records.manifest(key) or manifest
    listed = [settled(file) for file in now["files"]]
    if listed != now["files"]:  # some were replaced
        store.records.write_manifest(key, {**now, "files": listed, "erasures": notes})


def clean_run(store: Store, run_key: str, gone: Matches, with_published: bool) -> int:
    """Remove users from a run's tables; returns the rows removed.

    The tables that readers see are cleaned only `with_published`. Each file, and `normalized` as a
    whole, is replaced in one step, so an interrupted cleaning can be run again.

    Raises DamageError that names the files that are not as they were written, once all others are
    cleaned.
    """
    _forget_files_of(store, run_key, gone)
    faults, removed = Faults(), 0
    with faults.kept(), _named(store, store.table(run_key, "normalized")):
        removed += _clean_normalized(store, run_key, gone)
    for folder in sorted(store.table(run_key, "").iterdir()):
        is_visible = folder.name in layout.PUBLISHED
        if (
            folder.name == "normalized"
            or not folder.is_dir()
            or (is_visible and not with_published)
        ):
            continue
        for path in parquet_files(folder):
            with faults.kept():
                removed += _clean_file(store, path, gone)
        for path in sorted(folder.glob("user_id=*")):
            if path_is_of(path.name, gone):
                removed += _count_rows(path)
                _remove_at_once(store, path)
    faults.raise_all()
    settle(store, run_key)  # not before: a damaged file may be restored as it was
    return removed


def _forget_files_of(store: Store, run_key: str, gone: Matches) -> None:
    """Files of one user each: the outcomes forget them before they go."""
    for task, outcome in store.records.outcomes(run_key).items():
        digests = outcome.get("digests", {})
        remaining = {name: file for name, file in digests.items() if not path_is_of(name, gone)}
        if remaining != digests:
            store.records.write_outcome(run_key, task, {**outcome, "digests": remaining})


def _count_rows(folder: Path) -> int:
    """How many rows the files of a user's own folder have; one that cannot be read has none."""
    rows = 0
    for path in folder.glob("*.parquet"):
        with suppress(OSError, parquet.UnreadableError), parquet.reading():
            rows += parquet.read_metadata(path).num_rows
    return rows


def _remove_at_once(store: Store, folder: Path) -> None:
    away = _away(store)
    files.remove(away)
    folder.rename(away)
    files.sync(folder.parent)
    files.remove(away)


def _away(store: Store) -> Path:
    """Where a user's folder goes; if the process is killed then, the next cleaning removes it."""
    return store.temporary("erased")


def _clean_file(store: Store, path: Path, gone: Matches) -> int:
    """Remove users from a file with a column user_id; schema, metadata and row groups stay.

    A file that is no Parquet is left alone if no record has it: a person put it there, and the
    search looks into it. Raises DamageError for a file that is not as it was written.
    """
    try:
        with _named(store, path):
            file = parquet.open_file(path)
            if not _shows(file, gone):
                return 0
    except DamageError:
        if checked_digest(store, path) is None:
            return 0
        raise
    with replace_recorded(store, path) as new:
        return copy_without(file, new, gone)


@contextmanager
def _named(store: Store, path: Path) -> Iterator[None]:
    """What Arrow says of a file that it cannot read, as a DamageError that names it."""
    try:
        with parquet.reading():
            yield
    except parquet.UnreadableError as error:
        raise DamageError(f"{store.shown(path)} cannot be read: {error}; {BACKUP}") from None


def _shows(file: parquet.ParquetFile, gone: Matches) -> bool:
    """Whether the column user_id of a file has one of the users."""
    if "user_id" not in file.schema_arrow.names:
        return False
    groups = (file.read_row_group(group, ["user_id"]) for group in range(file.num_row_groups))
    return any(gone(column_of_users(group)).any() for group in groups)


def copy_without(file: parquet.ParquetFile, target: Path, gone: Matches) -> int:
    """Write a file again without users' rows, a row group at a time; returns the rows removed."""
    removed = 0
    with parquet.writer(target, file.schema_arrow) as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            mask = gone(column_of_users(table))
            removed += int(mask.sum())
            remaining = table.filter(pa.array(~mask))
            if len(remaining):
                writer.write_table(remaining, row_group_size=len(remaining))
    return removed


def _clean_normalized(store: Store, run_key: str, gone: Matches) -> int:
    """Remove users from `normalized`; the users behind them move up, as in all of the run.

    Raises DamageError for a file that is not as it was written.
    """
    folder = store.table(run_key, "") / "normalized"
    finish_replacement(folder)  # what a killed cleaning left there shows the users
    if not (folder / "users.parquet").exists():
        return 0
    store.checked_table(run_key, "normalized", "users.parquet")
    users = parquet.read_table(folder / "users.parquet")
    mask = gone(column_of_users(users))
    if not mask.any():
        return 0
    new_index = np.where(mask, -1, np.cumsum(~mask) - 1).astype(np.int32)
    replaced = [folder / "users.parquet", folder / "ratings.parquet"]
    digests = [checked_digest(store, path) for path in replaced]
    with store.replace_folder(folder) as target:
        (target / "items.parquet").hardlink_to(folder / "items.parquet")
        remaining = users.filter(pa.array(~mask))
        remaining = _with_index(remaining, np.arange(len(remaining), dtype=np.int32))
        parquet.write_table(remaining, target / "users.parquet")
        removed = _renumber(folder / "ratings.parquet", target / "ratings.parquet", new_index)
        for path, digest in zip(replaced, digests, strict=True):
            record_both(store, path, target / path.name, digest)
    return removed


def _renumber(ratings: Path, target: Path, new_index: np.ndarray) -> int:
    """Copy ratings with the users' new numbers, without users numbered -1; returns rows removed."""
    file, removed = parquet.open_file(ratings), 0
    with parquet.writer(target, file.schema_arrow) as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            new = new_index[table["user_index"].to_numpy()]
            writer.write_table(_with_index(table, new).filter(pa.array(new >= 0)))
            removed += int((new < 0).sum())
    return removed


def _with_index(table: pa.Table, index: np.ndarray) -> pa.Table:
    place = table.schema.get_field_index("user_index")
    return table.set_column(place, table.schema.field(place), pa.array(index))
