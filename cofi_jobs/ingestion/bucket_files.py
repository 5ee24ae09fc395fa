"""Rating files from a bucket or a folder elsewhere: what is new there, for ingest.

The batch keeps which objects were taken and in what version, so this counts only once the batch is
complete. No run downloads what an earlier run has. Upstream's files are never changed or removed.
"""

import hashlib
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cofi_jobs.core.credentials import SOURCE_FILES, options
from cofi_jobs.core.errors import DataError, SettingsError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.drops import is_part
from cofi_jobs.store.objects import Object, Objects
from cofi_jobs.store.source_roots import SourceRoots
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Download:
    """New files with their addresses.

    What the batch keeps, versions by address; and what lineage names.
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
        message = str(error)
        for path, address in download.files.items():  # upstream knows its files by their addresses
            message = message.replace(str(path), address)
        raise type(error)(message) from None
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
    new = {
        objects.uri(entry.path): entry
        for entry in _settled(objects, settings.settle_seconds)
        if (objects.uri(entry.path), entry.version) not in taken
    }
    files = {}
    for uri, entry in new.items():
        # An address has the same path each time, so a rerun takes a corrected file instead of the
        # old one.
        path = folder / hashlib.sha256(uri.encode()).hexdigest()[:16] / entry.name
        path.parent.mkdir(parents=True)
        if is_local:
            roots.check(Path(entry.path))
        objects.get(entry, path)
        log.info("%s: %d bytes", uri, entry.size)
        files[path] = uri
    new_versions = {uri: entry.version for uri, entry in new.items()}
    return Download(files, {**versions.get(run_key, {}), **new_versions}, [address.rstrip("/")])


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
