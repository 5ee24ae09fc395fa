"""The key of the hashes in the tombstones of erased users."""

import secrets

from cofi_jobs.core.errors import StoreError
from cofi_jobs.store import files, layout
from cofi_jobs.store.store import Store


def erasure_key(store: Store) -> bytes:
    """The key, made when it is first asked for; only the store's owner can read the file.

    Raises StoreError if there are tombstones and the key is gone.
    """
    path = store.root / layout.ERASURE_KEY
    if not path.exists():
        if store.records.tombstones():
            raise StoreError(
                f"found tombstones of erased users but no {path}; put the key back from a backup"
            )
        files.write_secret(path, secrets.token_hex(32) + "\n")
    return bytes.fromhex(path.read_text())
