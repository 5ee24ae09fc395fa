"""A store in a bucket, s3:// or gs://, that is worked on in a local folder.

Whoever works on it holds the lease (`lock`): first the folder becomes what the bucket has, as far as the task needs it,
and only what has changed is downloaded; at the end what the task changed is uploaded, in an order in which a record is
never there before what it names, CURRENT.json last; then what is gone is removed. Records are written on the condition
that they are as they were. Killed in between, the upload leaves files that nothing names.

Without the lease records and tables are read from the bucket itself.
"""

import hashlib
import json
import logging
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cofi_jobs.core.credentials import OPTIONS
from cofi_jobs.core.credentials import options as given_options
from cofi_jobs.core.errors import SettingsError, StoreError
from cofi_jobs.store.lease import Lease
from cofi_jobs.store.objects import Object, Objects
from cofi_jobs.store.store import SCHEME, Store

log = logging.getLogger(__name__)

CACHE = "COFI_CACHE"  # where the local folders are
LEASE_SECONDS = "COFI_LEASE_SECONDS"
# Folders that only some tasks need; None: whoever needs everything.
NEEDED_BY = {
    "ratings": ("ingest", "normalize", "publish"),
    "rejected": ("ingest", "report", "publish"),
    "landing": ("ingest", "publish"),
}
# Records are uploaded after all data, in this order, a folder for what is in it; then the outcome of publish.
RECORDS = (
    "erased.key",
    "store.json",
    "settings.json",
    "tasks",
    "merged.json",
    "manifests",
    "CURRENT.json",
)
# Tombstones are written when what they tell of is done and the old is removed: an erasure has ended when it says so.
TOMBSTONES = "erased.json"


def open_store(location: Path | str, options: dict[str, Any] | None = None) -> Store:
    """The store in a folder or at an address. Without `options` those of the environment are taken.

    Raises SettingsError for an address that is of no use as a store.
    """
    found = SCHEME.match(str(location))
    if found and found[1] == "file":
        return Store(unquote(urlsplit(str(location)).path))
    if found and found[1] in ("s3", "gs"):
        return MirroredStore(str(location), given_options(OPTIONS) if options is None else options)
    return Store(location)


class MirroredStore(Store):
    """A store below an address; `root` is the local folder, which is only to be used within `lock`."""

    def __init__(self, address: str, options: dict[str, Any]) -> None:
        self.objects = Objects(address.rstrip("/"), options)
        if "/" not in self.objects.root:
            raise SettingsError(
                f"found the bucket {address} as a store, expected a folder in it: {address}/<folder>"
            )
        cache = (
            os.environ.get(CACHE)
            or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cofi"
        )
        self.folder = (
            Path(cache).absolute() / hashlib.sha256(self.objects.address.encode()).hexdigest()[:16]
        )
        super().__init__(self.folder / "store")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.mkdir(exist_ok=True)
        self.create()
        self.location = self.objects.address
        self.seconds = float(os.environ.get(LEASE_SECONDS) or 60)
        self.remote: dict[str, Object] | None = None  # what the bucket had, while the lease is held
        self.local: dict[str, Any] = {}  # files of the folder that are as the bucket has them

    @contextmanager
    def lock(
        self, task: str, run_key: str | None = None, needs: Collection[str] | None = None
    ) -> Iterator[None]:
        """The lease on the whole store, whatever the task: the folder is as the bucket within, the bucket as it after.

        Raises RuntimeError if the lease is lost on the way: then nothing is written any more.
        """
        if self.remote is not None:
            yield
            return
        self.run_key = run_key
        with super().lock("mirror"), Lease(self.objects, self.seconds) as lease:
            try:
                self._pull(task, run_key, needs)
                try:
                    yield
                except Exception:
                    try:  # how it failed is recorded there too
                        self._push(lease)
                    except Exception:
                        log.exception(
                            "what the failed task leaves could not be written to %s", self.location
                        )
                    raise
                self._push(lease)
            finally:
                self.remote = None

    def readable(self, run_key: str, name: str) -> tuple[str, Any]:
        """As it is in the bucket."""
        return f"{self.objects.root}/runs/{run_key}/{name}", self.objects.filesystem

    # ---- records: in the bucket, unless the lease is held

    def paths(self, pattern: str) -> list[Path]:
        """Paths below the local folder, whether they are there or in the bucket alone."""
        if self.remote is not None:
            return super().paths(pattern)
        return [self.root / name for name in self.objects.names(pattern)]

    def _read_json(self, path: Path) -> dict[str, Any] | None:
        if self.remote is not None:
            return super()._read_json(path)
        found = self.objects.read(str(path.relative_to(self.root)))
        try:
            return json.loads(found[0]) if found else None
        except ValueError as error:
            raise StoreError(f"{self.shown(path)} is not valid JSON: {error}") from None

    def _remove_record(self, path: Path) -> None:
        if self.remote is not None:
            super()._remove_record(path)
        else:
            self.objects.remove([str(path.relative_to(self.root))])

    # ---- the bucket into the folder, and back

    def fetch(self, *needs: str) -> None:
        """Download these folders as well."""
        assert self.remote is not None
        runs = None if self.run_key is None else self._runs(self.run_key)
        self._fetch(
            [name for name in self.remote if _is_in(name, needs, runs, self.current() or "")]
        )

    def _pull(self, task: str, run_key: str | None, needs: Collection[str] | None) -> None:
        remote = self.objects.tree()
        if not remote and task not in ("ingest", "catalogue"):
            raise StoreError(
                f"found no store in {self.location}, expected one in which ingest has run"
            )
        self.remote = remote
        index = json.loads(self._index.read_text()) if self._index.exists() else {}
        here = self._files()
        self.local = {
            name: index[name]
            for name, stat in here.items()
            if name in remote and index.get(name) == [remote[name].version, *stat]
        }
        self._index.unlink(
            missing_ok=True
        )  # killed from here on, all is fetched anew that does not count yet
        for path in sorted(
            self.root.rglob("*"), reverse=True
        ):  # what is in a folder comes before it
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif str(path.relative_to(self.root)) not in self.local and not path.name.startswith(
                ".lock-"
            ):
                path.unlink()
        self.create()
        self._fetch([name for name in remote if name.partition("/")[0] not in ("runs", *NEEDED_BY)])
        runs = (
            None
            if run_key is None or (task == "publish" and self._pending())
            else self._runs(run_key)
        )
        if needs is None:
            self._fetch(
                [name for name in remote if _is_needed(name, task if run_key else None, runs)]
            )
        else:
            self.fetch(*needs)
        for name in remote:  # a run is there though its files are not; if it is removed, they are
            if name.startswith("runs/"):
                (self.root / "runs" / name.split("/")[1]).mkdir(parents=True, exist_ok=True)
        self._keep_index()

    def _runs(self, run_key: str) -> set[str | None]:
        """Runs whose tables a task of a run may read: its own, the one before it, the one that readers use."""
        before = [key for key in self.published() if key < run_key]
        return {run_key, self.current(), *before[-1:]}

    def _pending(self) -> bool:
        return any(user["pending"] for user in self.tombstones())

    def _fetch(self, names: list[str]) -> None:
        assert self.remote is not None
        missing = {name: self.root / name for name in names if name not in self.local}
        if missing:
            size = sum(self.remote[name].size for name in missing)
            log.info(
                "downloading %d files, %.1f MB, from %s", len(missing), size / 1e6, self.location
            )
        self.objects.download(missing)
        for name, path in missing.items():
            os.utime(path, (self.remote[name].modified,) * 2)
            self.local[name] = [self.remote[name].version, *_stat(path)]

    def _push(self, lease: Lease) -> None:
        assert self.remote is not None
        here, remote = self._files(), self.remote
        changed = [
            name
            for name, stat in here.items()
            if name not in self.local or self.local[name][1:] != stat
        ]
        gone = [name for name in self.local if name not in here]
        gone += [
            name
            for name in remote
            if name.startswith("runs/")
            and name not in self.local
            and not (self.root / "runs" / name.split("/")[1]).exists()
        ]
        stale = [name for name in (*changed, *gone) if name in remote and self._is_outcome(name)]
        if changed or gone:
            log.info(
                "uploading %d files to %s, removing %d", len(changed), self.location, len(gone)
            )
        lease.check()
        self.objects.remove(stale)  # what they name is about to change
        self.objects.upload({name: self.root / name for name in changed if not _rank(name)})
        for name in sorted(
            (name for name in changed if _rank(name)), key=lambda name: (_rank(name), name)
        ):
            if name != TOMBSTONES:
                self._write(name, stale, lease)
        lease.check()
        self.objects.remove(sorted(gone, key=lambda name: (-_rank(name), name)))
        if TOMBSTONES in changed:
            self._write(TOMBSTONES, stale, lease)
        if changed or gone:
            now = self.objects.tree()
            self.local = {
                name: [now[name].version, *stat] for name, stat in here.items() if name in now
            }
            self._keep_index()

    def _write(self, name: str, stale: list[str], lease: Lease) -> None:
        assert self.remote is not None
        lease.check()
        expected = self.remote[name].version if name in self.remote and name not in stale else None
        self.objects.write(name, (self.root / name).read_bytes(), expected)

    def _is_outcome(self, name: str) -> bool:
        """Whether this says that tables of an unpublished run count; of a published one nothing is made anew."""
        parts = name.split("/")
        if parts[0] != "tasks" or parts[2] == "ingest.json" or parts[2].endswith(".failed.json"):
            return False
        return f"manifests/{parts[1]}.json" not in (self.remote or {})

    def _files(self) -> dict[str, list[int]]:
        """Files of the local folder that belong into the bucket, with what changes when they do."""
        paths = (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        names = {str(path.relative_to(self.root)): path for path in paths}
        return {
            name: _stat(path)
            for name, path in names.items()
            if "/." not in f"/{name}" and not name.startswith("current/")
        }

    @property
    def _index(self) -> Path:
        return self.folder / "index.json"

    def _keep_index(self) -> None:
        new = self._index.with_suffix(".new")
        new.write_text(json.dumps(self.local))
        new.replace(self._index)


def _stat(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _rank(name: str) -> int:
    """When a file is uploaded: 0 for data, above for records."""
    top = name.partition("/")[0]
    if name.endswith("/publish.json") or name == TOMBSTONES:
        return len(RECORDS) + 1
    return RECORDS.index(top) + 1 if top in RECORDS else 0


def _is_in(name: str, needs: Collection[str], runs: set[str | None] | None, current: str) -> bool:
    """Whether a file is in one of the folders, of these runs; without `runs` of all."""
    top, *rest = name.split("/")
    if top != "runs":
        return top in needs
    run_key, table = rest[0], rest[1] if len(rest) > 2 else ""
    return (
        "runs" in needs
        or (f"runs/*/{table}" in needs and (runs is None or run_key in runs))
        or (f"current/{table}" in needs and run_key == current)
    )


def _is_needed(name: str, task: str | None, runs: set[str | None] | None) -> bool:
    """Whether a task needs a file; without a task everything is needed, without `runs` the tables of all runs."""
    top, _, rest = name.partition("/")
    if top == "runs":
        return runs is None or rest.partition("/")[0] in runs
    return task is None or task in NEEDED_BY.get(top, (task,))
