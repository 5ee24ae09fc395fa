"""Opening a store by its location: a folder, file://, s3:// or gs://."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cofi_jobs.core.credentials import OPTIONS
from cofi_jobs.core.credentials import options as options_of_environment
from cofi_jobs.core.errors import SettingsError
from cofi_jobs.store.paths import store_path
from cofi_jobs.store.remote import RemoteStore
from cofi_jobs.store.store import Store

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
SCHEMES = ("file", "s3", "gs")


def open_store(location: Path | str, options: dict[str, Any] | None = None) -> Store:
    """The store at a location. `options` are those of a bucket's file system as fsspec takes them.

    Without `options` those of the environment are taken. Raises SettingsError for an address that
    cannot be a store, DataError for a folder whose name cannot be used.
    """
    scheme = scheme_of(location)
    if scheme is None:
        return Store(store_path(Path(location).absolute()))
    if scheme == "file":
        address = urlsplit(str(location))
        is_local = address.netloc in ("", "localhost") and address.path.startswith("/")
        if address.query or address.fragment or not is_local:
            raise SettingsError(
                f"found the store {location!r}, expected file:///<folder>, with ? as %3F and # as "
                "%23 in its name"
            )
        return Store(store_path(unquote(address.path)))
    if options is None:
        options = options_of_environment(OPTIONS)
    return RemoteStore(str(location), options)


def scheme_of(location: Path | str) -> str | None:
    """What the address of a store starts with: "file", "s3" or "gs"; None for a folder.

    Raises SettingsError for any other address.
    """
    match = SCHEME.match(str(location))
    if match and match[1] not in SCHEMES:
        # The rest of the address is not shown: it can hold a password.
        raise SettingsError(
            f"found a store whose location starts with {match[0]!r}, expected a folder, s3:// or "
            "gs://"
        )
    return match[1] if match else None
