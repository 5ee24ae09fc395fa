"""Erased users in the tables of runs."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.erasure.matching import Matches, column_of_users, hashes_among, path_is_of
from cofi_jobs.erasure.tombstones import Tombstones
from cofi_jobs.store.layout import RUNS
from cofi_jobs.store.manifest_files import describe
from cofi_jobs.store.schemas import PUBLISHED
from cofi_jobs.store.store import Store


def clean_published(store: Store) -> list[str]:
    """Remove erased users from published runs that still show them; returns these runs' keys."""
    tombstones = Tombstones(store)
    runs = sorted({key for user in tombstones.users.values() for key in user["pending"]})
    if runs:
        store.fetch(RUNS)
    for key in runs:
        users = {digest for digest, user in tombstones.users.items() if key in user["pending"]}
        manifest = store.manifest(key)
        if manifest is not None:
            gone = hashes_among(users, tombstones.key)
            _clean_published_run(store, key, manifest, gone, len(users))
        for digest in users:
            tombstones.users[digest]["pending"].remove(key)
        store.records.write_tombstones(list(tombstones.users.values()))
    return runs


def _clean_published_run(
    store: Store, key: str, manifest: dict[str, Any], gone: Matches, n_users: int
) -> None:
    """Remove users from a published run and bring its manifest up to date."""
    folder, listed = store.table(key, ""), manifest["files"]
    note = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "users": n_users}
    notes = [*manifest.get("erasures", []), note]
    remaining = [file for file in listed if not path_is_of(file["path"], gone)]
    if remaining != listed:  # files of one user each: the manifest forgets them before they go
        manifest = {**manifest, "files": remaining, "erasures": notes}
        store.records.write_manifest(key, manifest)
    clean_run(store, key, gone, with_published=True)
    files = [
        describe(folder / file["path"], folder)
        for file in remaining
        if (folder / file["path"]).exists()
    ]
    if [file["sha256"] for file in files] != [file["sha256"] for file in remaining]:
        store.records.write_manifest(key, {**manifest, "files": files, "erasures": notes})


def clean_run(store: Store, run_key: str, gone: Matches, with_published: bool) -> int:
    """Remove users from a run's tables; returns the rows removed.

    The tables that readers see are cleaned only `with_published`. Each file, and `normalized` as a
    whole, is replaced in one step, so an interrupted cleaning can be run again.
    """
    removed = _clean_normalized(store, store.table(run_key, "normalized"), gone)
    for folder in sorted(store.table(run_key, "").iterdir()):
        is_visible = folder.name in PUBLISHED
        if (
            folder.name == "normalized"
            or not folder.is_dir()
            or (is_visible and not with_published)
        ):
            continue
        for path in sorted(folder.rglob("*.parquet")):
            removed += _clean_file(store, path, gone)
        for path in sorted(folder.glob("user_id=*")):
            if path_is_of(path.name, gone):
                removed += sum(pq.read_metadata(file).num_rows for file in path.glob("*.parquet"))
                _remove_at_once(store, path)
    return removed


def _remove_at_once(store: Store, folder: Path) -> None:
    away = store.temporary(folder.parent.name)
    shutil.rmtree(away, ignore_errors=True)
    folder.rename(away)
    shutil.rmtree(away)


def _clean_file(store: Store, path: Path, gone: Matches) -> int:
    """Remove users from a file with a column user_id; schema, metadata and row groups stay."""
    file = pq.ParquetFile(path)
    if "user_id" not in file.schema_arrow.names:
        return 0
    ids = (
        column_of_users(file.read_row_group(group, ["user_id"]))
        for group in range(file.num_row_groups)
    )
    return copy_without(store, file, path, gone) if any(gone(group).any() for group in ids) else 0


def copy_without(store: Store, file: pq.ParquetFile, target: Path, gone: Matches) -> int:
    """Write a file again without users' rows, a row group at a time; returns the rows removed."""
    removed = 0
    with store.replace_file(target) as new:
        with pq.ParquetWriter(new, file.schema_arrow, compression="zstd") as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                mask = gone(column_of_users(table))
                removed += int(mask.sum())
                remaining = table.filter(pa.array(~mask))
                if len(remaining):
                    writer.write_table(remaining, row_group_size=len(remaining))
    return removed


def _clean_normalized(store: Store, folder: Path, gone: Matches) -> int:
    """Remove users from `normalized`; the users behind them move up, as in all of the run."""
    if not (folder / "users.parquet").exists():
        return 0
    users = pq.read_table(folder / "users.parquet")
    mask = gone(column_of_users(users))
    if not mask.any():
        return 0
    new_index = np.where(mask, -1, np.cumsum(~mask) - 1).astype(np.int32)
    with store.replace_folder(folder) as target:
        (target / "items.parquet").hardlink_to(folder / "items.parquet")
        remaining = users.filter(pa.array(~mask))
        remaining = _with_index(remaining, np.arange(len(remaining), dtype=np.int32))
        pq.write_table(remaining, target / "users.parquet", compression="zstd")
        return _renumber(folder / "ratings.parquet", target / "ratings.parquet", new_index)


def _renumber(ratings: Path, target: Path, new_index: np.ndarray) -> int:
    """Copy ratings with the users' new numbers, without users numbered -1; returns rows removed."""
    file, removed = pq.ParquetFile(ratings), 0
    with pq.ParquetWriter(target, file.schema_arrow, compression="zstd") as writer:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            new = new_index[table["user_index"].to_numpy()]
            writer.write_table(_with_index(table, new).filter(pa.array(new >= 0)))
            removed += int((new < 0).sum())
    return removed


def _with_index(table: pa.Table, index: np.ndarray) -> pa.Table:
    place = table.schema.get_field_index("user_index")
    return table.set_column(place, table.schema.field(place), pa.array(index))
