"""Search every file of a store for users' ids: whole, as number and as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import duckdb
import pyarrow.compute as pc

from cofi_jobs.core.errors import StoreError
from cofi_jobs.erasure.columns import hold_users
from cofi_jobs.erasure.landing import rows_of_users, ways_to_read
from cofi_jobs.erasure.matching import rejected_rows
from cofi_jobs.erasure.texts import MESSAGES, names_in, names_users, strings
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import layout, parquet
from cofi_jobs.store.id_folders import users_in, without_users
from cofi_jobs.store.paths import shown
from cofi_jobs.store.run_keys import is_run_key
from cofi_jobs.store.source_roots import SourceRoots
from cofi_jobs.store.store import Store

OF_ITEMS = ("similar_items", "popular_items", "model/item")  # files whose ids are items'


@dataclass
class Traces:
    """Where a scan looked, and what it found; paths are below the store's root."""

    files: int = 0
    skipped: list[str] = field(default_factory=list)  # no text, not readable, or links out of here
    waiting: list[str] = field(default_factory=list)  # gone with the next publication
    remaining: list[str] = field(default_factory=list)
    # Which of the users, counted from 1, have no rating here and no tombstone from before.
    unknown: list[int] = field(default_factory=list)
    delivered: bool = False  # whether there are tables in a database, which a scan does not see


@dataclass(frozen=True)
class Search:
    """What is searched: a store for users. `pending` are published runs that still show users."""

    store: Store
    connection: duckdb.DuckDBPyConnection
    ways: Sequence[Settings]  # to read rating files
    users: Sequence[str]
    pending: frozenset[str]


@dataclass(frozen=True)
class Place:
    """How the files of a folder are searched; names are below the store's root."""

    holds: Callable[[Search, PurePath], bool]
    waits: Callable[[Search, PurePath], bool] = lambda search, name: False


def scan(
    connection: duckdb.DuckDBPyConnection, store: Store, settings: Settings, users: Sequence[str]
) -> Traces:
    """Search the store. Columns of other things, and places that hold no user, are not searched.

    A file that still holds users is `waiting` if the next publication cleans it (`Place.waits`),
    else `remaining`.
    """
    pending = frozenset(key for user in store.records.tombstones() for key in user["pending"])
    search = Search(store, connection, ways_to_read(store, settings), users, pending)
    roots = SourceRoots.of(store)
    traces = Traces(delivered=any(store.outcome(key, "deliver") for key in store.batches()))
    for name in store.files():
        place = PLACES.get(name.parts[0], ANYWHERE)
        if place is None:
            continue
        if not roots.has(store.path(name)):
            traces.skipped.append(shown(name))
            continue
        traces.files += 1
        try:
            with parquet.reading():
                holds = place.holds(search, name)
                waits = holds and place.waits(search, name)
        except (UnicodeDecodeError, parquet.UnreadableError):
            traces.skipped.append(shown(name))
            continue
        if holds:
            (traces.waiting if waits else traces.remaining).append(without_users(shown(name)))
    return traces


def _in_file(search: Search, name: PurePath) -> bool:
    if name.suffix != ".parquet":
        return names_users(search.store.path(name), search.users)
    return _in_parquet(search, name) or _is_folder_of(search, name)


def _in_parquet(search: Search, name: PurePath) -> bool:
    """Whether a Parquet file holds a user; what cannot be read as Parquet is searched as text.

    Raises UnicodeDecodeError if it is no text either, such as a damaged table.
    """
    path = search.store.path(name)
    try:
        return hold_users(path, search.users, fractions=not _is_in_table(name))
    except parquet.UnreadableError:
        return names_users(path, search.users)


def _is_in_table(name: PurePath) -> bool:
    """Whether a file lies where the store's tables are."""
    top, *below = name.parts
    return len(below) > (1 if top == layout.RATINGS else 2) and top in (layout.RATINGS, layout.RUNS)


def _in_rejected(search: Search, name: PurePath) -> bool:
    path = search.store.path(name)
    if name.suffix != ".parquet" or not _has_columns(path, {"raw", "reason"}):
        return _in_file(search, name)
    rows = parquet.read_table(path)
    names = pc.unique(rows["file"]).to_pylist() if "file" in rows.column_names else ()
    is_named = any(_is_folder_of(search, name) for name in names)
    return is_named or bool(pc.any(rejected_rows(rows, search.users)).as_py())


def _has_columns(path: Path, names: set[str]) -> bool:
    """Whether a file is Parquet with these columns."""
    try:
        with parquet.reading():
            return names <= {*parquet.read_columns(path)}
    except parquet.UnreadableError:
        return False


def _is_folder_of(search: Search, name: PurePath | str) -> bool:
    """Whether a path goes through a user's own folder."""
    return not users_in(name).isdisjoint(search.users)


def _in_landing(search: Search, name: PurePath) -> bool:
    return _has_rows(search, name) or _is_folder_of(search, name)


def _has_rows(search: Search, name: PurePath) -> bool:
    return rows_of_users(search.connection, search.store.path(name), search.ways, search.users) > 0


def _is_rating_file(search: Search, name: PurePath) -> bool:
    """Whether ingest takes the file once it is complete: then publish removes it.

    Hidden files, and those in hidden folders, stay; so do those without a row of the users.
    """
    return not layout.is_hidden(str(name)) and _has_rows(search, name)


def _is_pending_table(search: Search, name: PurePath) -> bool:
    _, key, table, *_ = (*name.parts, "", "")
    return key in search.pending and table in layout.PUBLISHED


def _in_messages(search: Search, name: PurePath) -> bool:
    return names_users(search.store.path(name), search.users, MESSAGES)


def _in_outcome(search: Search, name: PurePath) -> bool:
    """Whether a task's record names a user in a sentence, or ingest's as a folder of a file."""
    path = search.store.path(name)
    if _in_messages(search, name):
        return True
    if not name.match(layout.ALL_OUTCOMES_OF_INGEST):
        return False
    texts = chain(strings(path, ["files"]), names_in(path, "objects"))
    return any(_is_folder_of(search, text) for text in texts)


def _in_manifest(search: Search, name: PurePath) -> bool:
    texts = strings(search.store.path(name), ["input_files"])
    return (
        _in_messages(search, name)
        or any(_is_folder_of(search, text) for text in texts)
        or _in_list_of_files(search, name)
    )


def _in_list_of_files(search: Search, name: PurePath) -> bool:
    """Whether a manifest names a user, as the first or last of a file or as a file's folder."""
    if name.suffix != ".json":
        return False
    manifest = _manifest(search, name)
    if manifest is None:  # a person, or a killed write, left it there
        return _in_file(search, name)
    ids = set()
    for file in manifest.get("files", ()):
        if not file["path"].startswith(OF_ITEMS):
            ids |= {str(file[end]) for end in ("first_id", "last_id") if end in file}
        ids |= users_in(file["path"])
    return not ids.isdisjoint(search.users)


def _manifest(search: Search, name: PurePath) -> dict[str, Any] | None:
    """The manifest in a file, None if the file is none.

    Raises StoreError if that of a run with tables is damaged.
    """
    if not is_run_key(name.stem):
        return None
    try:
        return search.store.manifest(name.stem)
    except StoreError:
        if name.stem in search.store.run_keys():
            raise
        return None


def _is_pending_manifest(search: Search, name: PurePath) -> bool:
    return name.stem in search.pending and _in_list_of_files(search, name)


ANYWHERE = Place(_in_file)
# None: no users are there, but what looks like some: items, trials, times, hashes, keys of runs,
# the ends of the scale.
PLACES: dict[str, Place | None] = {
    layout.LANDING: Place(_in_landing, _is_rating_file),
    layout.RATINGS: ANYWHERE,
    layout.REJECTED: Place(_in_rejected),
    layout.RUNS: Place(_in_file, _is_pending_table),
    layout.TASKS: Place(_in_outcome),
    layout.MANIFESTS: Place(_in_manifest, _is_pending_manifest),
    layout.CURRENT_LINK: None,  # its files are seen below runs/
    **dict.fromkeys((layout.CATALOGUE, layout.ITEM_LISTS, layout.STUDIES)),
    **dict.fromkeys((layout.TUNED, layout.TOMBSTONES, layout.ERASURE_KEY)),
    **dict.fromkeys((layout.ORDER, layout.COMPACTED, layout.PROPERTIES, layout.CURRENT)),
}
