"""The key of the hashes that stand for erased users, in tombstones and in names of objects."""

import hashlib
import re
import secrets

from cofi_jobs.core.errors import StoreError
from cofi_jobs.store import files, layout
from cofi_jobs.store.store import Store

KEY = re.compile("[0-9a-f]{64}")


def erasure_key(store: Store) -> bytes:
    """The key, made when it is first asked for; only the store's owner can read the file.

    Raises StoreError if there are tombstones and the key is gone, or is none, or is not theirs:
    with another key no user would be known as erased.
    """
    path, tombstones = store.root / layout.ERASURE_KEY, store.records.tombstones()
    shown = store.shown(path)
    if not path.exists():
        if tombstones:
            raise StoreError(
                f"found tombstones of erased users but no {shown}; put the key back from a backup"
            )
        files.write_secret(path, secrets.token_hex(32) + "\n")
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    if not KEY.fullmatch(text):
        raise StoreError(
            f"{shown}: found {len(text)} characters, expected a key of 64 hexadecimal digits; put "
            "the key back from a backup"
        )
    key = bytes.fromhex(text)
    if tombstones and store.records.key_check() not in (None, check_of(key)):
        raise StoreError(
            f"{shown}: found another key than that of the tombstones in {layout.TOMBSTONES}; put "
            "the key back from a backup"
        )
    return key


def hash_of(text: str, key: bytes) -> str:
    """The keyed hash of a user's id, or of an address that has one."""
    return hashlib.blake2b(text.encode(), key=key, digest_size=32).hexdigest()


def check_of(key: bytes) -> str:
    """What a key gives, so that tombstones tell their own key; the key does not follow from it."""
    return hashlib.blake2b(b"the key of these tombstones", key=key, digest_size=32).hexdigest()
