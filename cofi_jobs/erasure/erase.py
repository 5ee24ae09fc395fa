"""Erase: remove all that a store holds of given users, and look whether anything is left.

Erasing holds the locks of all tasks, so no task sees a half. Each step replaces a file or a folder
at once and tolerates what an interrupted attempt did, so `erase` can be run again. The tombstones
come first: whatever happens then, the users do not come back. Messages and records hold no id.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import duckdb

from cofi_jobs.core.errors import SettingsError, StoreError
from cofi_jobs.core.ids import clean_id
from cofi_jobs.erasure.batches import Ratings, clean_batch, clean_compacted, ratings_of
from cofi_jobs.erasure.faults import Faults
from cofi_jobs.erasure.landing import clean_input_files, clean_landing
from cofi_jobs.erasure.matching import ids_among
from cofi_jobs.erasure.run_tables import clean_published, clean_run
from cofi_jobs.erasure.scan import Traces, scan
from cofi_jobs.erasure.texts import clean_messages, remove_report
from cofi_jobs.erasure.tombstones import Tombstones, note_unfinished, prepare, write_tombstones
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.batches import rating_parts, recover
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

AGAIN = "erase the same users again once this is repaired: "


def erase(
    store: Store, settings: Settings, user_ids: Sequence[str], locks: Sequence[str], now: bool
) -> Traces:
    """Remove users from the store; returns what a scan finds afterwards.

    Batches, rejected rows, taken files of the landing folder and the tables that readers do not see
    are cleaned here. Published tables are cleaned by the next publication, or here with `now`.
    `locks` are those of all tasks, in the order in which they must be taken. Raises SettingsError
    without a user, StoreError if there is no store, or for what could not be cleaned, such as
    damaged files, once all else is.
    """
    users = _checked(store, user_ids)
    prepare(store, locks[0])
    with ExitStack() as stack:
        for name in locks:
            store = stack.enter_context(store.lock(name, by="erase"))
        recover(store)
        with sql.connect(settings, store.root) as connection:
            faults = Faults()
            ratings = ratings_of(connection, store, users, faults)
            unknown = _unknown(store, users, ratings)
            is_clean = _clean(connection, store, settings, users, ratings, faults)
            if now:
                with faults.kept():
                    clean_published(store)
            faults.raise_all("" if is_clean else AGAIN)
            return replace(scan(connection, store, settings, users), unknown=unknown)


def look(store: Store, settings: Settings, user_ids: Sequence[str]) -> Traces:
    """What a scan finds of users, without changing anything."""
    users = _checked(store, user_ids)
    with (
        store.lock("look", by="erase --check") as store,
        sql.connect(settings, store.root) as connection,
    ):
        faults = Faults()
        unknown = _unknown(store, users, ratings_of(connection, store, users, faults))
        faults.raise_all()
        return replace(scan(connection, store, settings, users), unknown=unknown)


def _unknown(store: Store, users: Sequence[str], ratings: Mapping[Path, Ratings]) -> list[int]:
    """Which of the users, counted from 1, have neither a rating here nor a tombstone."""
    tombstones = Tombstones(store)
    known = frozenset[str]().union(*(part.users for part in ratings.values()))
    return [
        number
        for number, user in enumerate(users, 1)
        if user not in known and tombstones.find(user) is None
    ]


def _clean(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    settings: Settings,
    users: Sequence[str],
    ratings: Mapping[Path, Ratings],
    faults: Faults,
) -> bool:
    """Remove the users from everything but the published tables; returns whether batches are clean.

    `faults` has which ratings are damaged, and gets what could not be cleaned of batches and runs.
    """
    is_damaged = bool(faults.errors)
    write_tombstones(store, users, max((part.newest or 0 for part in ratings.values()), default=0))
    if not is_damaged:  # else landing/ may have the only whole copy of these ratings
        clean_landing(connection, store, settings, users)
    clean_compacted(store, users, ratings)
    for key in store.batches():
        clean_batch(store, key, users, ratings, faults)
    is_left = not ratings.keys().isdisjoint(rating_parts(store))
    note_unfinished(store, users, is_damaged or is_left)
    is_clean = not faults.errors
    gone = ids_among(users)
    for key in store.run_keys():
        with faults.kept():
            clean_input_files(store, key, gone)
            is_published = store.manifest(key) is not None
            removed = clean_run(store, key, gone, with_published=not is_published)
            if removed:
                log.info("%d rows removed from tables of run %s", removed, key)
        if remove_report(store, key, users):
            log.info("removed the report of run %s, which showed a user", key)
    clean_messages(store, users)
    return is_clean


def _checked(store: Store, user_ids: Sequence[str]) -> list[str]:
    users = list(dict.fromkeys(user for user_id in user_ids if (user := clean_id(user_id))))
    if not users:
        raise SettingsError("found no user id, expected at least one")
    if not (store.exists() and store.landing.is_dir()):
        raise StoreError(
            f"found no store in {store.location}, expected one in which ingest has run"
        )
    return users
