"""What docs/outputs.md promises of a store, looked at from outside; each gives what is wrong."""

from collections.abc import Collection, Iterator
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cofi_jobs import read
from cofi_jobs.core.errors import CofiError
from cofi_jobs.store.digests import RecordedFile, compacted_file, files_of_run
from cofi_jobs.store.removal import half_removed
from cofi_jobs.store.store import Store


def served(store: Store, allowed: set[str]) -> list[str]:
    """Readers see one whole run, of those allowed, whichever way they find it."""
    try:
        return [*_served(store, allowed)]
    except (CofiError, OSError, KeyError, ValueError, pa.ArrowException) as error:
        return [f"readers get {type(error).__name__}: {error}"]


def _served(store: Store, allowed: set[str]) -> Iterator[str]:
    run = read.current_run(store)
    if run.key not in allowed:
        yield f"readers use run {run.key}, expected one of {sorted(allowed)}"
    link = store.root / "current"
    if not (link / "recommendations").is_dir():
        yield f"current dangles: {link.readlink()}"
    elif link.resolve().name not in allowed:
        yield f"current leads to {link.resolve().name}, expected one of {sorted(allowed)}"
    for key in {run.key, link.resolve().name}:
        yield from _as_in_manifest(store, key)
    if not len(run.popular_items()):
        yield "popular items are empty"
    lists = pd.read_parquet(store.table(run.key, "recommendations"))
    user = lists["user_id"].iloc[0]
    if not run.recommendations(str(user))["item_id"].equals(
        lists[lists["user_id"] == user]["item_id"].astype("Int64").reset_index(drop=True)
    ):
        yield "a list that is looked up differs from the table"


def _as_in_manifest(store: Store, run_key: str) -> Iterator[str]:
    manifest = store.manifest(run_key)
    if manifest is None:
        yield f"readers use run {run_key}, which is not published"
        return
    for file in manifest["files"]:
        path = store.table(run_key, "") / file["path"]
        if not path.exists():
            yield f"{run_key}/{file['path']} is missing"
        elif _digest(path) not in (file["sha256"], file.get("sha256_before")):
            yield f"{run_key}/{file['path']} is not as the manifest says"


def _digest(path: Path) -> str | None:
    return sha256(path.read_bytes()).hexdigest() if path.exists() else None


def settled(store: Store) -> list[str]:
    """Nothing is half done: what holds once no killed work is left to be repeated."""
    wrong = owned(store)
    if (store.root / "current").resolve().name != store.current():
        wrong.append(f"current and CURRENT.json ({store.current()}) name different runs")
    wrong += [f"the removal of run {key} is not finished" for key in half_removed(store)]
    for file in _recorded(store):
        if _digest(store.path(file.name)) != file.digest["sha256"]:
            wrong.append(f"{file.name} is not as its record says")
    return wrong


def _recorded(store: Store) -> Iterator[RecordedFile]:
    """The files that records have, with their digests."""
    for key in dict.fromkeys([*store.batches(), *store.run_keys(), *store.published()]):
        yield from files_of_run(store.records, key).values()
    if compacted := compacted_file(store.records):
        yield compacted


def owned(store: Store) -> list[str]:
    """No run is without a record or a removal that goes on, and no manifest without a run."""
    lost = [
        f"runs/{key} has neither a manifest nor the outcome of a task"
        for key in set(store.run_keys()) - set(half_removed(store))
        if store.manifest(key) is None and store.outcome(key, "normalize") is None
    ]
    missing = [key for key in store.published() if not store.table(key, "").is_dir()]
    return lost + [f"run {key} is published, but has no tables" for key in missing]


def traces(store: Store, user: int, shown_in: Collection[str]) -> list[str]:
    """Files that show a user; not in folders that may, nor in "published" runs if these may."""
    shown = []
    for path in sorted(store.root.rglob("*")):
        name = str(path.relative_to(store.root))
        top = name.partition("/")[0]
        if not path.is_file() or top in ("current", *shown_in):
            continue
        if top in ("runs", "manifests") and "published" in shown_in and _is_published(store, name):
            continue
        if str(user) in name or _shows(path, user):
            shown.append(f"{name} shows an erased user")
    return shown


def _is_published(store: Store, name: str) -> bool:
    return store.manifest(Path(name).parts[1].removesuffix(".json")) is not None


def _shows(path: Path, user: int) -> bool:
    if path.suffix != ".parquet":
        return str(user).encode() in path.read_bytes()
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError):  # torn: nobody reads it
        return False
    return any(_in_column(column, user) for column in table.columns)


def _in_column(column: pa.ChunkedArray, user: int) -> bool:
    if pa.types.is_integer(column.type) and column.type.bit_width == 64:
        return bool(pc.any(pc.equal(column, user)).as_py())
    if pa.types.is_string(column.type):
        return bool(pc.any(pc.match_substring(column, str(user))).as_py())
    return False
