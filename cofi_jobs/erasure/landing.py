"""Erased users in the landing folder."""

import logging
from collections.abc import Sequence
from pathlib import Path

import duckdb

from cofi_jobs.core.errors import CofiError
from cofi_jobs.erasure.matching import Matches, as_word, without_folders
from cofi_jobs.ingestion.erased_rows import ERASED
from cofi_jobs.ingestion.formats import is_text, rating_file
from cofi_jobs.ingestion.packed import is_empty
from cofi_jobs.ingestion.rejects import LINES, forget_rejects
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import from_record
from cofi_jobs.settings.schema import section
from cofi_jobs.store import files
from cofi_jobs.store.batches import taken_digests
from cofi_jobs.store.drops import drop_files, remove
from cofi_jobs.store.files import sha256
from cofi_jobs.store.id_folders import users_in
from cofi_jobs.store.source_roots import SourceRoots
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


def clean_landing(
    connection: duckdb.DuckDBPyConnection, store: Store, settings: Settings, users: Sequence[str]
) -> None:
    """Remove taken files that hold the users, or are in folders of their own.

    The other rows of the files are in the batches.
    """
    taken, ways = taken_digests(store), ways_to_read(store, settings)
    removed: dict[str, list[Path]] = {}
    for path in drop_files(store.landing, SourceRoots.of(store).has):
        is_named = not users_in(path.relative_to(store.landing)).isdisjoint(users)
        if is_named or rows_of_users(connection, path, ways, users):
            digest = sha256(path)
            if digest in taken:
                removed.setdefault(digest, []).append(path)
            else:
                log.warning(
                    "a file in %s holds rows of the users and was not taken yet; the next run "
                    "takes it without them and removes it",
                    store.landing,
                )
    _forget_times(store, set(removed))
    for path in (path for paths in removed.values() for path in paths):
        remove(path, store.landing)
        log.info("removed a taken file with rows of the users from %s", store.landing)
    for folder in sorted(store.landing.rglob("user_id=*"), reverse=True):
        is_folder = folder.is_dir() and not folder.is_symlink()
        is_theirs = not users_in(folder.name).isdisjoint(users)
        if is_folder and is_theirs and not any(folder.iterdir()):
            files.remove(folder)


def _forget_times(store: Store, digests: set[str]) -> None:
    """Without their recorded times, files are read again if somebody drops them again."""
    for key in store.batches():
        outcome = store.required_outcome(key, "ingest")
        removed = [file for file in outcome["files"] if file["sha256"] in digests]
        for file in removed:
            file["mtime_ns"] = None
        if removed:
            store.records.write_outcome(key, "ingest", outcome)


def clean_input_files(store: Store, run_key: str, gone: Matches) -> None:
    """Remove the names of the users' own folders from the manifest of a run."""
    manifest = store.manifest(run_key) or {}
    listed = manifest.get("input_files", [])
    unnamed = [{**file, "name": without_folders(file["name"], gone)} for file in listed]
    if unnamed != listed:
        store.records.write_manifest(run_key, {**manifest, "input_files": unnamed})


def ways_to_read(store: Store, settings: Settings) -> list[Settings]:
    """The settings with which runs have read files, and those given, each once.

    Without the user_column of the run that took a file, its users would not be seen.
    """
    used = [
        from_record(store.required_outcome(key, "ingest").get("settings", {}))
        for key in store.batches()
    ]
    of_ingest = {name for name in Settings.model_fields if section(name) == "ingest"}
    return list({way.model_dump_json(include=of_ingest): way for way in (*used, settings)}.values())


def rows_of_users(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    ways: Sequence[Settings],
    users: Sequence[str],
) -> int:
    """How many rows of a file are the users', in that of the ways to read it that shows most.

    Of files that cannot be read as ratings, how many lines name one.
    """
    counts = [_count_rows(connection, path, settings, users) for settings in ways]
    readable = [count for count in counts if count is not None]
    if readable:
        return max(readable)
    pattern = as_word(users)
    lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
    return sum(bool(pattern.search(line)) for line in lines)


def _count_rows(
    connection: duckdb.DuckDBPyConnection, path: Path, settings: Settings, users: Sequence[str]
) -> int | None:
    """How many rows are the users'; of rows whose user is unknown, those that name one.

    None if the file cannot be read as ratings.
    """
    pattern = as_word(users)
    try:
        if is_empty(path):
            return 0
        query = rating_file(connection, path, settings).query
        [(count,)] = connection.execute(
            f"""SELECT count(*) FROM ({query}) WHERE user_id IN (SELECT unnest($users))
            OR (user_id IS NULL AND regexp_matches(raw, $pattern))""",
            {"users": list(users), "pattern": pattern.pattern},
        ).fetchall()
        if is_text(path):
            [(n_malformed,)] = connection.execute(
                f"SELECT count(*) FROM {LINES} WHERE regexp_matches(raw, $pattern)",
                {"pattern": pattern.pattern},
            ).fetchall()
            forget_rejects(connection)
            count += n_malformed
        return count
    except (CofiError, duckdb.Error):
        return None


def remove_landed(store: Store) -> list[str]:
    """Remove files of which rows of erased users were rejected; returns the files' names.

    The other rows of these files are in the batches.
    """
    removed = []
    for key in store.batches():
        for file in store.required_outcome(key, "ingest")["files"]:
            path = store.landing / file["name"]
            if ERASED in file["reasons"] and path.is_file() and sha256(path) == file["sha256"]:
                remove(path, store.landing)
                removed.append(file["name"])
    return removed
