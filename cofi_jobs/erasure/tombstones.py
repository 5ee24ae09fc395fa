"""Who is erased: the tombstones that keep erased users out.

A tombstone is a keyed hash of the user's id, never the id. It tells whether a user is one of the
erased, and nothing without the key. Each has

    hash      BLAKE2b of the id's text under the store's key
    until     what the user rated up to then, and what has no time, is rejected; later ratings count
    pending   published runs that still show the user; the next publication cleans them
    unfinished  whether ratings are left, in or beside damaged files; erasing again removes them
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from cofi_jobs.core.errors import StoreError
from cofi_jobs.core.ids import clean_id
from cofi_jobs.store.erasure_key import check_of, erasure_key, hash_of
from cofi_jobs.store.record_shapes import Tombstone
from cofi_jobs.store.store import Store

# A word is what stands between two of these: 17 is one in "17,42,3", not in "2017-01-17.csv".
BREAKS = r"\s,;|:=&\"'<>(){}\[\]"


class Tombstones:
    """The erased users of a store, asked by id."""

    def __init__(self, store: Store) -> None:
        self.users = {user["hash"]: user for user in store.records.tombstones()}
        self.key = erasure_key(store) if self.users else b""

    def find(self, user_id: str) -> Tombstone | None:
        """The tombstone of a user, None if the user is not erased."""
        return self.users.get(hash_of(user_id, self.key))

    def until(self, user_ids: Iterable[str]) -> dict[str, datetime]:
        """For each erased user among these, the time up to which ratings are rejected."""
        users = {user_id: self.find(user_id) for user_id in user_ids}
        return {key: datetime.fromisoformat(user["until"]) for key, user in users.items() if user}

    def may_be_in(self, text: str) -> bool:
        """Whether a word of the text, or what stands between separators, is an erased user's id."""
        pieces = set(re.split(f"[{BREAKS}]+", text))
        for separator in (",", ";", "\t", "|", "::"):
            for cell in text.split(separator):
                pieces |= {cell.strip('"'), cell.strip().strip('"')}
        return any(self.find(clean_id(piece)) for piece in pieces)


def prepare(store: Store, lock: str) -> None:
    """Have a record of erased users before there is a key, so that none is missing beside a key.

    In a bucket this record must be there before an erasure begins. `lock` is one that all erasures
    hold.
    """
    if not store.records.has_tombstones():
        with store.lock(lock, needs=()) as locked:
            if not locked.records.has_tombstones():
                locked.records.write_tombstones(locked.records.tombstones())


def write_tombstones(store: Store, users: Sequence[str], newest: int) -> None:
    """Write users' tombstones; `newest` is the time of their newest rating, in µs since 1970.

    A rating dated in the future must not come back either.
    """
    key = erasure_key(store)
    pending = store.records.published_with_tables()
    newest_time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=newest)
    until = max(datetime.now(UTC), newest_time).isoformat()
    tombstones = {user["hash"]: user for user in store.records.tombstones()}
    for user in users:
        digest = hash_of(user, key)
        tombstone = Tombstone(hash=digest, until=until, pending=pending)
        tombstones[digest] = {**tombstones.get(digest, tombstone), **tombstone}
    users_in_order = [tombstones[digest] for digest in sorted(tombstones)]
    store.records.write_tombstones(users_in_order, check_of(key))


def note_unfinished(store: Store, users: Sequence[str], is_unfinished: bool) -> None:
    """Write whether ratings are left of users who have tombstones."""
    tombstones = Tombstones(store)
    theirs = [tombstone for user in users if (tombstone := tombstones.find(user))]
    if any(is_unfinished != tombstone.get("unfinished", False) for tombstone in theirs):
        for tombstone in theirs:
            tombstone["unfinished"] = is_unfinished
        store.records.write_tombstones([*tombstones.users.values()])


def check_finished(store: Store) -> None:
    """Raise StoreError if ratings are left of erased users: these must not come back."""
    n_users = sum(user.get("unfinished", False) for user in store.records.tombstones())
    if n_users:
        raise StoreError(
            f"found {n_users} erased users of whom ratings may be left in the batches, expected "
            "none: restore the files that `cofi verify` names, and erase these users again"
        )
