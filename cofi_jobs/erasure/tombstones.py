"""Erased users: the tombstones that keep them out, and their removal from the tables of runs.

A tombstone is a keyed hash of the user's id, never the id: it tells whether a user that comes along is one of the
erased, and without the key nothing. Each has

    hash      BLAKE2b of the id's text under the store's key
    until     what the user rated up to then, and what has no time, stays away; newer ratings are a new beginning
    pending   published runs that still show the user; the next publication cleans them
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cofi_jobs.core.ids import clean_id
from cofi_jobs.store.erasure_key import erasure_key
from cofi_jobs.store.files import sha256
from cofi_jobs.store.layout import RUNS
from cofi_jobs.store.manifest_files import describe
from cofi_jobs.store.records import Tombstone
from cofi_jobs.store.schemas import PUBLISHED, users_in
from cofi_jobs.store.store import Store

REASON = "erased"
# A token is what stands between two of these: so 17 is found in "17,42,3", not in "2017-01-17.csv".
BREAKS = r"\s,;|:=&\"'<>(){}\[\]"

Matches = Callable[[pa.Array], np.ndarray]  # ids of users -> mask of those that are to go


class Tombstones:
    """The erased users of a store, asked by id."""

    def __init__(self, store: Store) -> None:
        self.users = {user["hash"]: user for user in store.records.tombstones()}
        self.key = erasure_key(store) if self.users else b""

    def find(self, user_id: str) -> Tombstone | None:
        """The tombstone of a user, None if the user is not erased."""
        return self.users.get(hash_of(user_id, self.key))

    def until(self, user_ids: Iterable[str]) -> dict[str, datetime]:
        """For each erased one of these users the time up to which ratings stay away."""
        found = ((user_id, self.find(user_id)) for user_id in user_ids)
        return {user_id: datetime.fromisoformat(user["until"]) for user_id, user in found if user}

    def may_be_in(self, text: str) -> bool:
        """Whether a piece of the text, a word or what stands between two separators, is the id of an erased user."""
        pieces = set(re.split(f"[{BREAKS}]+", text))
        for separator in (",", ";", "\t", "|", "::"):
            for cell in text.split(separator):
                pieces |= {cell.strip('"'), cell.strip().strip('"')}
        return any(self.find(clean_id(piece)) for piece in pieces)


def hash_of(user_id: str, key: bytes) -> str:
    """The keyed hash of a user's id."""
    return hashlib.blake2b(user_id.encode(), key=key, digest_size=32).hexdigest()


def matches(user_ids: Iterable[str]) -> Matches:
    """Mask of the ids among these, whatever their type."""
    wanted = pa.array(sorted(user_ids), pa.string())
    return lambda ids: pc.is_in(ids.cast(pa.string()), value_set=wanted).to_numpy(
        zero_copy_only=False
    )


def clean_run(store: Store, run_key: str, gone: Matches, shown: bool) -> int:
    """Remove users from a run's tables, in those that readers see only if `shown`; returns the rows removed.

    Each file, and `normalized` as a whole, is replaced in one step; what was done already is found done.
    """
    removed = _clean_normalized(store, store.table(run_key, "normalized"), gone)
    for folder in sorted(store.table(run_key, "").iterdir()):
        if (
            folder.name == "normalized"
            or not folder.is_dir()
            or (folder.name in PUBLISHED and not shown)
        ):
            continue
        for path in sorted(folder.rglob("*.parquet")):
            removed += _clean_file(store, path, gone)
        for path in sorted(folder.glob("user_id=*")):
            if _is_of(path.name, gone):
                removed += sum(pq.read_metadata(file).num_rows for file in path.glob("*.parquet"))
                away = store.root / f".tmp-{path.parent.name}"
                shutil.rmtree(away, ignore_errors=True)
                path.rename(away)
                shutil.rmtree(away)
    return removed


def finish(store: Store) -> list[str]:
    """Remove erased users from the published runs that still show them; returns the keys of those runs."""
    tombstones = Tombstones(store)
    runs = sorted({key for user in tombstones.users.values() for key in user["pending"]})
    if runs:
        store.fetch(RUNS)
    for key in runs:
        users = {digest for digest, user in tombstones.users.items() if key in user["pending"]}
        manifest = store.manifest(key)
        if manifest is not None:
            _clean_published(store, key, manifest, _hashed(users, tombstones.key), len(users))
        for digest in users:
            tombstones.users[digest]["pending"].remove(key)
        store.records.write_tombstones(list(tombstones.users.values()))
    return runs


def _clean_published(
    store: Store, key: str, manifest: dict[str, Any], gone: Matches, n_users: int
) -> None:
    """Remove users from a published run and bring its manifest up to date."""
    folder, before = store.table(key, ""), manifest["files"]
    own = [file for file in before if not _is_of(file["path"], gone)]
    if own != before:  # files of one user each: first they are named no more, then they go
        note = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "users": n_users}
        manifest = {**manifest, "files": own, "erasures": [*manifest.get("erasures", []), note]}
        store.records.write_manifest(key, manifest)
    clean_run(store, key, gone, shown=True)
    files = [
        describe(folder / file["path"], folder) for file in own if (folder / file["path"]).exists()
    ]
    if [file["sha256"] for file in files] != [file["sha256"] for file in own]:
        note = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "users": n_users}
        notes = [*manifest.get("erasures", []), note] if own == before else manifest["erasures"]
        store.records.write_manifest(key, {**manifest, "files": files, "erasures": notes})


def _is_of(path: str, gone: Matches) -> bool:
    """Whether a path goes through the folder of one of the users."""
    return bool(gone(pa.array(sorted(users_in(path)), pa.string())).any())


def remove_landed(store: Store) -> list[str]:
    """Remove files of the landing folder from which rows of erased users were refused; returns their names.

    What else was in them is in the batches.
    """
    removed = []
    for key in store.batches():
        for file in store.required_outcome(key, "ingest")["files"]:
            path = store.landing / file["name"]
            if REASON in file["reasons"] and path.is_file() and sha256(path) == file["sha256"]:
                path.unlink()
                removed.append(path.name)
    return removed


def _hashed(hashes: set[str], key: bytes) -> Matches:
    def mask(ids: pa.Array) -> np.ndarray:
        coded = ids.cast(pa.string()).dictionary_encode()
        own = np.array(
            [hash_of(user_id, key) in hashes for user_id in coded.dictionary.to_pylist()], bool
        )
        return own[coded.indices.to_numpy(zero_copy_only=False)]

    return mask


def _clean_file(store: Store, path: Path, gone: Matches) -> int:
    """Remove users from a file with a column user_id; schema, metadata and the row groups' bounds stay."""
    file = pq.ParquetFile(path)
    if "user_id" not in file.schema_arrow.names:
        return 0
    groups = range(file.num_row_groups)
    if not any(gone(_ids(file.read_row_group(group, ["user_id"]))).any() for group in groups):
        return 0
    return copy_without(store, file, path, gone)


def copy_without(store: Store, file: pq.ParquetFile, target: Path, gone: Matches) -> int:
    """Write a file again without the rows of users, a row group at a time; returns how many rows these were."""
    removed = 0
    with store.replace_file(target) as new:
        with pq.ParquetWriter(new, file.schema_arrow, compression="zstd") as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                mask = gone(_ids(table))
                removed += int(mask.sum())
                kept = table.filter(pa.array(~mask))
                if len(kept):
                    writer.write_table(kept, row_group_size=len(kept))
    return removed


def _clean_normalized(store: Store, folder: Path, gone: Matches) -> int:
    """Remove users from a table `normalized`; those behind them move up, here as in every table of the run."""
    if not (folder / "users.parquet").exists():
        return 0
    users = pq.read_table(folder / "users.parquet")
    mask = gone(_ids(users))
    if not mask.any():
        return 0
    index = np.where(mask, -1, np.cumsum(~mask) - 1).astype(np.int32)  # new number of each user
    with store.replace_folder(folder) as target:
        (target / "items.parquet").hardlink_to(folder / "items.parquet")
        kept = users.filter(pa.array(~mask))
        place = kept.schema.get_field_index("user_index")
        kept = kept.set_column(
            place, kept.schema.field(place), pa.array(np.arange(len(kept), dtype=np.int32))
        )
        pq.write_table(kept, target / "users.parquet", compression="zstd")
        ratings = pq.ParquetFile(folder / "ratings.parquet")
        removed = 0
        with pq.ParquetWriter(
            target / "ratings.parquet", ratings.schema_arrow, compression="zstd"
        ) as writer:
            for group in range(ratings.num_row_groups):
                table = ratings.read_row_group(group)
                new = index[table["user_index"].to_numpy()]
                place = table.schema.get_field_index("user_index")
                table = table.set_column(place, table.schema.field(place), pa.array(new)).filter(
                    pa.array(new >= 0)
                )
                removed += int((new < 0).sum())
                writer.write_table(table)
    return removed


def _ids(table: pa.Table) -> pa.Array:
    ids = table["user_id"].combine_chunks()
    return ids.chunk(0) if isinstance(ids, pa.ChunkedArray) else ids
