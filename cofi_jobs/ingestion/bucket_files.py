"""Rating files from a bucket or a folder elsewhere: what is new there, for ingest.

The batch keeps which objects were taken and in what version, so this counts only once the batch is
complete. No run downloads what an earlier run has. Upstream's files are never changed or removed.
"""

import hashlib
import logging
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cofi_jobs.core.credentials import SOURCE_FILES, options
from cofi_jobs.core.errors import DataError, SettingsError, renamed
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.drops import is_part
from cofi_jobs.store.erasure_key import erasure_key, hash_of
from cofi_jobs.store.id_folders import users_in
from cofi_jobs.store.objects import Object, Objects
from cofi_jobs.store.source_roots import SourceRoots
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Download:
    """New files with their addresses.

    `objects` has versions by address, or by the hash of one; lineage names what `reads` has.
    """

    files: Mapping[Path, str] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)
    reads: Sequence[str] = ()


@contextmanager
def downloaded(store: Store, settings: Settings, run_key: str) -> Iterator[Download]:
    """The new files of the settings' address, in a folder that is removed afterwards.

    Raises SettingsError for an address or options that cannot be used, DataError for a bucket or
    folder that is missing or denied, ConnectionError if it cannot be reached.
    """
    # If this is killed, erasing users or the next ingest removes the folder.
    folder = store.temporary("source-files")
    shutil.rmtree(folder, ignore_errors=True)
    download = Download()
    try:
        download = _download(store, settings, run_key, folder)
        yield download
    except DataError as error:
        # Upstream knows its files by their addresses.
        names = {str(path): address for path, address in download.files.items()}
        raise renamed(error, names) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _download(store: Store, settings: Settings, run_key: str, folder: Path) -> Download:
    address = settings.source_files
    if address is None:
        if settings.source_files_connection:
            raise SettingsError(
                "found source_files_connection, but no source_files, expected both or none"
            )
        return Download()
    objects = Objects(address, options(SOURCE_FILES))
    roots, is_local = SourceRoots.of(store), objects.scheme == "file"
    roots.check_address(address, objects.folder if is_local else objects.uri(objects.folder))
    versions = {
        key: store.required_outcome(key, "ingest").get("objects", {}) for key in store.batches()
    }
    taken = {item for of_run in versions.values() for item in of_run.items()}
    erased = _ErasedUsers.of(store)
    new = {
        objects.uri(entry.path): entry
        for entry in _settled(objects, settings.settle_seconds)
        if (erased.recorded(objects.uri(entry.path)), entry.version) not in taken
    }
    files, new_versions = {}, {}
    for uri, entry in new.items():
        name = erased.recorded(uri)
        path = folder / download_folder(name) / entry.name
        path.parent.mkdir(parents=True)
        if is_local:
            roots.check(Path(entry.path))
        objects.get(entry, path)
        log.info("%s: %d bytes", uri, entry.size)
        files[path], new_versions[name] = uri, entry.version
    return Download(files, {**versions.get(run_key, {}), **new_versions}, [address.rstrip("/")])


def download_folder(name: str) -> str:
    """Name of the folder into which an object is downloaded, by what the records call it.

    It is the same each time, so a rerun takes a corrected file instead of the old one.
    """
    return hashlib.sha256(name.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _ErasedUsers:
    """Digests of the erased users, and the key of these digests."""

    hashes: Collection[str]
    key: bytes

    @classmethod
    def of(cls, store: Store) -> "_ErasedUsers":
        hashes = {user["hash"] for user in store.records.tombstones()}
        return cls(hashes, erasure_key(store) if hashes else b"")

    def recorded(self, uri: str) -> str:
        """An address as the records have it: a keyed hash stands for one with an erased user."""
        users = users_in(uri) if self.hashes else ()
        is_erased = any(hash_of(user, self.key) in self.hashes for user in users)
        return hash_of(uri, self.key) if is_erased else uri


def _settled(objects: Objects, seconds: float) -> list[Object]:
    """The files that did not change for so many seconds.

    Waits until this is known of all, as for `landing/`.
    """
    before = [entry for entry in objects.files() if is_part(objects.below(entry))]
    young = [entry.modified for entry in before if entry.modified > time.time() - seconds]
    if not young:
        return before
    time.sleep(min(seconds, max(young) - time.time() + seconds))
    now = {entry.path: entry for entry in objects.files()}
    for entry in before:
        if now.get(entry.path) != entry:
            log.warning(
                "%s is still being written, so it is left for the next run", objects.uri(entry.path)
            )
    return [entry for entry in before if now.get(entry.path) == entry]
