"""Erased users in the batches: their ratings and their rejected rows.

Files are written again under new names. The record that names them is replaced in one step, and
only then the old files go.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cofi_jobs.erasure.faults import Faults
from cofi_jobs.erasure.matching import (
    Matches,
    ids_among,
    path_is_of,
    rejected_rows,
    without_folders,
)
from cofi_jobs.erasure.run_tables import copy_without
from cofi_jobs.ingestion.bucket_files import download_folder
from cofi_jobs.ingestion.erased_rows import ERASED
from cofi_jobs.store import files, parquet, sql
from cofi_jobs.store.batches import compacted_part, rating_parts, records_of_parts
from cofi_jobs.store.digests import digest_of, files_of_run
from cofi_jobs.store.erasure_key import erasure_key, hash_of
from cofi_jobs.store.records import Outcome
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ratings:
    """The users' ratings in a file."""

    users: frozenset[str]
    rows: int
    newest: int | None  # µs since 1970; None if no rating has a time


def ratings_of(
    connection: duckdb.DuckDBPyConnection, store: Store, users: Sequence[str], faults: Faults
) -> dict[Path, Ratings]:
    """The files of batches that hold ratings of the users. `faults` gets those that are damaged."""
    all_parts, parts = rating_parts(store), []
    records = records_of_parts(store, all_parts)
    for path in all_parts:
        with faults.kept():
            store.check([records[path]] if path in records else [])
            parts.append(path)
    if not parts:
        return {}
    rows = connection.execute(
        f"""SELECT filename, list(DISTINCT user_id::VARCHAR), count(*), max(epoch_us(timestamp))
        FROM {sql.parquet(parts, filename="true")}
        WHERE user_id::VARCHAR IN (SELECT unnest($users)) GROUP BY filename""",
        {"users": list(users)},
    ).fetchall()
    return {
        Path(name): Ratings(frozenset(theirs), count, newest)
        for name, theirs, count, newest in rows
    }


def clean_compacted(store: Store, users: Sequence[str], ratings: Mapping[Path, Ratings]) -> None:
    """Remove the users' ratings from the compacted batches."""
    compacted = store.records.compacted()
    if compacted["part"] is None:
        return
    old = compacted_part(store, compacted["part"])
    if old not in ratings:
        return
    new = old.with_name(_next_name(old.name))
    with store.replace_file(new) as target:
        copy_without(parquet.open_file(old), target, ids_among(users))
    n_erased = ratings[old].rows
    compacted["part"] = new.name
    compacted.update(digest_of(new))
    compacted["rows"] -= n_erased
    compacted["rows_erased"] = compacted.get("rows_erased", 0) + n_erased
    store.records.write_compacted(compacted)
    files.remove(old)
    log.info("removed the users from the compacted batches")


def clean_batch(
    store: Store,
    key: str,
    users: Sequence[str],
    ratings: Mapping[Path, Ratings],
    faults: Faults,
) -> None:
    """Remove the users' ratings and rejected rows of a batch, and the names of their folders.

    `faults` gets the files that are damaged: what was taken of them stays, and is named as before.
    """
    with faults.kept():
        outcome = store.required_outcome(key, "ingest")
        is_changed, replaced = _hide_objects(store, outcome, ids_among(users)), []
        recorded = [file for file in files_of_run(store.records, key).values() if file.is_in_batch]
        for file in outcome["files"]:
            part = file["part"]
            with faults.kept():
                store.check(record for record in recorded if record.table == part)
                if _clean_part(store, key, outcome, file, users, ratings):
                    replaced.append(part)
        if replaced or is_changed:
            store.records.write_outcome(key, "ingest", outcome)
            log.info("removed the users from batch %s", key)
        for name in replaced:
            for folder in (store.ratings(key), store.rejected(key)):
                files.remove(folder / name)


def _clean_part(
    store: Store,
    key: str,
    outcome: Outcome,
    file: dict[str, Any],
    users: Sequence[str],
    ratings: Mapping[Path, Ratings],
) -> bool:
    """Write what was taken of a file again, without the users.

    `file` is its record in the outcome. Returns False if nothing taken is of the users.
    """
    gone = ids_among(users)
    accepted, rejected = store.ratings(key) / file["part"], store.rejected(key) / file["part"]
    rows = parquet.read_table(rejected) if rejected.exists() else None
    mask = None if rows is None else rejected_rows(rows, users)
    names = {field: without_folders(file[field], gone) for field in ("name", "path")}
    has_rows = accepted in ratings or (mask is not None and pc.any(mask).as_py())
    if not has_rows and names.items() <= file.items():
        return False
    file.update(names)
    new = _next_name(file["part"])
    file["rows_erased"] = file.get("rows_erased", 0)
    if accepted in ratings:
        file["rows_erased"] += ratings[accepted].rows
    if accepted.exists():  # else the batch is compacted
        with store.replace_file(accepted.with_name(new)) as target:
            copy_without(parquet.open_file(accepted), target, gone)
    if rows is not None:
        with store.replace_file(rejected.with_name(new)) as target:
            rows = _without_names(_without_content(rows, mask), gone)
            parquet.write_table(rows, target)
    file["part"] = new
    _record_again(store, outcome, [accepted, rejected], new)
    return True


def _hide_objects(store: Store, outcome: Outcome, gone: Matches) -> bool:
    """Replace addresses that go through the users' own folders by keyed hashes.

    So the objects still count as taken. Returns whether there were any.
    """
    objects = outcome.get("objects", {})
    key = erasure_key(store)
    hidden = {uri: hash_of(uri, key) for uri in objects if path_is_of(uri, gone)}
    if not hidden:
        return False
    outcome["objects"] = {hidden.get(uri, uri): version for uri, version in objects.items()}
    folders = {download_folder(uri): download_folder(name) for uri, name in hidden.items()}
    for file in outcome["files"]:
        *above, folder, name = file["path"].split("/")
        file["path"] = "/".join([*above, folders.get(folder, folder), name])
    return True


def _record_again(store: Store, outcome: Outcome, old: Sequence[Path], name: str) -> None:
    """Let an outcome have the digests of the files of this name, where it had those of the old."""
    for path in old:
        new = path.with_name(name)
        is_recorded = outcome.get("digests", {}).pop(str(path.relative_to(store.root)), None)
        if is_recorded and new.exists():  # ratings that are compacted have no file here
            outcome["digests"][str(new.relative_to(store.root))] = digest_of(new)


def _next_name(part: str) -> str:
    stem, _, number = part.removesuffix(".parquet").partition("-erased-")
    return f"{stem}-erased-{int(number or 0) + 1}.parquet"


def _without_names(rows: pa.Table, gone: Matches) -> pa.Table:
    """Rejected rows without the names of the users' own folders."""
    place = rows.schema.get_field_index("file")
    coded = rows["file"].combine_chunks().dictionary_encode()
    names = [without_folders(name, gone) for name in coded.dictionary.to_pylist()]
    column = pa.array(names, pa.string()).take(coded.indices)
    return rows.set_column(place, rows.schema.field(place), column)


def _without_content(rows: pa.Table, mask: pa.Array) -> pa.Table:
    """Rejected rows; those of the mask only say that there was a row."""
    for name in ("raw", "reason", "user_id"):
        if name in rows.column_names:
            place = rows.schema.get_field_index(name)
            field = rows.schema.field(place)
            value = pa.scalar(ERASED if name == "reason" else None, field.type)
            column = pc.if_else(mask, value, rows[name])
            rows = rows.set_column(place, field.with_nullable(True), column)
    return rows
