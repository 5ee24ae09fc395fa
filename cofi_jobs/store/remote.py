"""A store in a bucket, s3:// or gs://.

Records and tables are read from the bucket itself. To change the store, `lock` takes the lease on
it, downloads what the task needs into a local folder, and yields that folder as a store of its own.
Afterwards what the task changed is uploaded, in an order in which a record is never there before
what it names, CURRENT.json last. Then what is gone is removed. Records are written on the condition
that nobody changed them meanwhile. A killed upload leaves files that no record names.

plan.py decides what is moved, local_copy.py knows what is in the folder; here it is moved.
"""

import hashlib
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cofi_jobs.core.errors import SettingsError
from cofi_jobs.store import layout, plan
from cofi_jobs.store.in_bucket import InBucket
from cofi_jobs.store.lease import Lease
from cofi_jobs.store.local_copy import Index, remove_all_but, stamp, stamps
from cofi_jobs.store.locks import file_lock, work_of
from cofi_jobs.store.objects import Object, Objects
from cofi_jobs.store.plan import Plan, Runs, Synced
from cofi_jobs.store.record_json import Record, parse
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

CACHE = "COFI_CACHE"  # where the local folders are
LEASE_SECONDS = "COFI_LEASE_SECONDS"


class RemoteStore(Store):
    """A store below an address.

    Outside of `lock` it is read; only records of failures are removed.
    """

    def __init__(self, address: str, options: dict[str, Any]) -> None:
        self.objects = Objects(address.rstrip("/"), options)
        if "/" not in self.objects.root:
            raise SettingsError(
                f"found the bucket {address} as a store, "
                f"expected a folder in it: {address}/<folder>"
            )
        self.folder = _cache() / hashlib.sha256(self.objects.address.encode()).hexdigest()[:16]
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        super().__init__(
            self.folder / "store", self.objects.address, BucketRecordFiles(self.objects)
        )
        self.create()
        self.lease_seconds = float(os.environ.get(LEASE_SECONDS) or 60)

    def exists(self) -> bool:
        """Whether there is anything below the address."""
        return any(not layout.is_hidden(name) for name in self.objects.names("*"))

    def read_file(self, name: str) -> bytes | None:
        """Content of a small file in the bucket; None if there is none."""
        stored = self.objects.read(name)
        return stored[0] if stored else None

    def location_for_readers(self, run_key: str, name: str) -> tuple[str, Any]:
        """Path of a table or file in the bucket, and the bucket's file system."""
        return self.file_for_readers(layout.table(run_key, name))

    def file_for_readers(self, name: str) -> tuple[str, Any]:
        """As in `Store`."""
        return f"{self.objects.root}/{name}", self.objects.filesystem

    @contextmanager
    def lock(
        self,
        name: str,
        run_key: str | None = None,
        needs: Collection[str] | None = None,
        by: str | None = None,
    ) -> Iterator[Store]:
        """A local copy of the store to work on, uploaded at the end; also if the work fails.

        There is one lease on the whole store, whatever the name. Raises RuntimeError if the lease
        is lost on the way: then nothing is written any more.
        """
        work = work_of(by or name, run_key)
        with (
            file_lock(self.folder / "lock", work),
            Lease(self.objects, self.lease_seconds, work) as lease,
        ):
            session = Session(self, lease, run_key)
            session.begin(needs)
            try:
                yield session
            except Exception:
                try:  # how it failed is recorded there too
                    session.upload()
                except Exception:
                    log.exception(
                        "what the failed task changed was not written to %s", self.location
                    )
                raise
            session.upload()


class BucketRecordFiles:
    """Records in a bucket, read without the lease."""

    def __init__(self, objects: Objects) -> None:
        self.objects, self.location = objects, objects.address

    def read(self, name: str) -> Record | None:
        """Content of a record, None if there is none. Raises StoreError if it is damaged."""
        stored = self.objects.read(name)
        return parse(stored[0], name, self.location) if stored else None

    def write(self, name: str, content: Any) -> None:
        """Not without the lease."""
        raise RuntimeError(f"{name} of a store in a bucket can be written within its lock only")

    def remove(self, name: str) -> None:
        """Remove a record without the lease, if it is there.

        Only for failures of earlier attempts, which no reader relies on.
        """
        self.objects.remove([name])

    def names(self, pattern: str) -> list[str]:
        """Names below the address that match a pattern, without hidden ones."""
        return [name for name in self.objects.names(pattern) if not layout.is_hidden(name)]


class Session(Store):
    """The local copy of a remote store, while the lease is held."""

    def __init__(self, store: RemoteStore, lease: Lease, run_key: str | None) -> None:
        super().__init__(store.root, store.location)
        self.objects, self.lease, self.run_key = store.objects, lease, run_key
        self.index = Index(store.folder / "index.json")
        self.remote: Mapping[str, Object] = {}  # files of the bucket when the session began
        self.synced: dict[str, Synced] = {}

    @contextmanager
    def lock(
        self,
        name: str,
        run_key: str | None = None,
        needs: Collection[str] | None = None,
        by: str | None = None,
    ) -> Iterator[Store]:
        """The session itself: the lease is held already."""
        yield self

    def in_bucket(self, path: Path) -> InBucket | None:
        """As in `Store`."""
        name = str(path.relative_to(self.root)) if path.is_relative_to(self.root) else ""
        return InBucket(self.location, name) if name in self.remote else None

    def open_stored(self, name: str) -> IO[bytes]:
        """A file in the bucket, not in the local copy. Raises FileNotFoundError."""
        return self.objects.open(name)

    def begin(self, needs: Collection[str] | None) -> None:
        """Make the folder equal to the bucket as far as needed; download what has changed."""
        self.remote = self.objects.tree()
        versions = {name: file.version for name, file in self.remote.items()}
        self.synced = plan.unchanged(stamps(self.root), versions, self.index.read())
        self.index.remove()  # if killed from here on, what is not in the index is fetched again
        remove_all_but(self.root, self.synced)
        self.create()
        self._download_files([name for name in self.remote if plan.is_always_here(name)])
        self._download_needed(needs)
        for name in self.remote:  # an empty folder stands for a run that is not downloaded
            if run_key := layout.run_of(name):
                self.table(run_key, "").mkdir(parents=True, exist_ok=True)

    def fetch(self, *needs: str) -> None:
        """Have these folders here as well, named as in the `needs` of `Store.lock`."""
        self._download_needed(needs)

    def write_ahead(self, name: str) -> None:
        """Write a record to the bucket now, not at the end; at the end it may be written again."""
        self._write(name, Plan())
        now = self.objects.info(name)
        self.remote = {**self.remote, name: now}
        self.synced[name] = Synced(now.version, stamp(self.root / name))

    def upload(self) -> None:
        """Make the bucket equal to the folder."""
        local = stamps(self.root)
        todo = plan.diff(local, self.remote, self.synced, self.run_keys())
        self.lease.check()
        if not todo:
            return
        log.info(
            "uploading %d files to %s, removing %d",
            len(todo.upload + todo.write + todo.finish),
            self.location,
            len(todo.remove),
        )
        self._carry_out(todo)
        now = self.objects.tree()
        self.index.write({n: Synced(now[n].version, s) for n, s in local.items() if n in now})

    def _carry_out(self, todo: Plan) -> None:
        self.objects.remove(todo.invalidate)
        self.objects.upload({name: self.root / name for name in todo.upload})
        for name in todo.write:
            self._write(name, todo)
        self.lease.check()
        for name in todo.mark:
            self.objects.write(name, b"", None)
        self.objects.remove(todo.remove)
        for name in todo.finish:
            self._write(name, todo)

    def _write(self, name: str, todo: Plan) -> None:
        """Write a record, if it is in the bucket as this session left it."""
        self.lease.check()
        known = name in self.remote and name not in todo.invalidate
        expected = self.remote[name].version if known else None
        self.objects.write(name, (self.root / name).read_bytes(), expected)

    def _download_needed(self, needs: Collection[str] | None) -> None:
        runs = Runs(self._wildcard_runs(), self.current())
        here = stamps(self.root).keys() | self.synced.keys()
        self._download_files(plan.missing(self.remote, here, needs, runs))

    def _wildcard_runs(self) -> frozenset[str] | None:
        """Runs that "*" stands for: the task's own, the one published before it, the current one.

        None, if the task belongs to no run: all.
        """
        if self.run_key is None:
            return None
        before = self.published_before(self.run_key)[-1:]
        return frozenset({self.run_key, self.current() or self.run_key, *before})

    def _download_files(self, names: Collection[str]) -> None:
        missing = {name: self.root / name for name in names if name not in self.synced}
        if missing:
            megabytes = sum(self.remote[name].size for name in missing) / 1e6
            log.info(
                "downloading %d files, %.1f MB, from %s", len(missing), megabytes, self.location
            )
        self.objects.download(missing)
        for name, path in missing.items():
            os.utime(path, (self.remote[name].modified,) * 2)
            self.synced[name] = Synced(self.remote[name].version, stamp(path))
        self.index.write(self.synced)


def _cache() -> Path:
    """The folder of all local copies."""
    if given := os.environ.get(CACHE):
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "cofi"
