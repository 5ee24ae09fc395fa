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


def open_store(location: Path | str, options: dict[str, Any] | None = None) -> Store:
    """The store at a location. `options` are those of a bucket's file system as fsspec takes them.

    Without `options` those of the environment are taken. Raises SettingsError for an address that
    cannot be a store, DataError for a folder whose name cannot be used.
    """
    match = SCHEME.match(str(location))
    if match is None:
        return Store(store_path(Path(location).absolute()))
    if match[1] == "file":
        address = urlsplit(str(location))
        if address.query or address.fragment or address.netloc not in ("", "localhost"):
            raise SettingsError(
                f"found the store {location!r}, expected file:///<folder>, with ? as %3F and # as "
                "%23 in its name"
            )
        return Store(store_path(unquote(address.path)))
    if match[1] in ("s3", "gs"):
        if options is None:
            options = options_of_environment(OPTIONS)
        return RemoteStore(str(location), options)
    # The rest of the address is not shown: it can hold a password.
    raise SettingsError(f"found a store whose location starts with {match[0]!r}, expected a folder")
