"""Rating files from a bucket or a folder elsewhere: what is new there, for ingest to take as any other file.

Which objects were taken, and in what version, is kept with the batch, so it only counts once the batch is complete, and
no night downloads what an earlier one has. Upstream's files are never changed or removed.
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
from cofi_jobs.ingestion.landing import is_dropped
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.layout import TEMPORARY
from cofi_jobs.store.objects import Object, Objects
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Download:
    """New files with their addresses; what the batch keeps, versions by address; and what lineage names."""

    files: Mapping[Path, str] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)
    reads: Sequence[str] = ()


@contextmanager
def downloaded(store: Store, settings: Settings, run_key: str) -> Iterator[Download]:
    """The new files of the settings' address, in a folder that is gone afterwards.

    Raises SettingsError for an address or options that cannot be used, DataError for a bucket or folder that is missing
    or refused, ConnectionError if it cannot be reached.
    """
    folder = (
        store.root / f"{TEMPORARY}source-files"
    )  # if this is killed, erasing users or the next ingest removes it
    shutil.rmtree(folder, ignore_errors=True)
    download = Download()
    try:
        download = _download(store, settings, run_key, folder)
        yield download
    except DataError as error:
        text = str(error)
        for path, address in download.files.items():  # upstream knows its files by their addresses
            text = text.replace(str(path), address)
        raise DataError(text) from None
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
    known = {
        key: store.required_outcome(key, "ingest").get("objects", {}) for key in store.batches()
    }
    seen = {
        (address, version) for versions in known.values() for address, version in versions.items()
    }
    new = {
        objects.uri(object.path): object
        for object in _settled(objects, settings.settle_seconds)
        if (objects.uri(object.path), object.version) not in seen
    }
    files = {}
    for uri, object in new.items():
        # The same place for an address each time: a rerun that finds it corrected takes it instead of what it took.
        path = folder / hashlib.sha256(uri.encode()).hexdigest()[:16] / object.name
        path.parent.mkdir(parents=True)
        objects.get(object, path)
        log.info("%s: %d bytes", uri, object.size)
        files[path] = uri
    versions = {uri: object.version for uri, object in new.items()}
    return Download(files, {**known.get(run_key, {}), **versions}, [address.rstrip("/")])


def _settled(objects: Objects, seconds: float) -> list[Object]:
    """The files that are no longer written: as they were `seconds` ago, for which this waits, as for `landing/`."""
    found = [object for object in objects.files() if is_dropped(object.name)]
    young = [object.modified for object in found if object.modified > time.time() - seconds]
    if not young:
        return found
    time.sleep(min(seconds, max(young) - time.time() + seconds))
    now = {object.path: object for object in objects.files()}
    for object in found:
        if now.get(object.path) != object:
            log.warning(
                "%s is still being written, so it is left for the next run",
                objects.uri(object.path),
            )
    return [object for object in found if now.get(object.path) == object]
