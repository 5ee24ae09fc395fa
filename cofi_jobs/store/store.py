"""A store in a folder, as a task sees it; remote.py has the store in a bucket.

The parts of the store are apart: layout.py knows where things are, files.py replaces files and
folders whole or not at all, records.py reads and writes the records, batches.py and runs.py know
what the records mean together.
"""

import shutil
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePath
from typing import Any

from cofi_jobs.core.errors import StoreError
from cofi_jobs.store import files, layout
from cofi_jobs.store.locks import file_lock
from cofi_jobs.store.records import Failure, FolderRecordFiles, Outcome, RecordFiles, Records


class Store:
    """Places below `root`, the records, and the lock of each task.

    `location` is the store's name for people.
    """

    def __init__(
        self,
        root: Path | str,
        location: str | None = None,
        record_files: RecordFiles | None = None,
    ) -> None:
        self.root = Path(root).absolute()
        self.location = location or str(self.root)
        self.records = Records(record_files or FolderRecordFiles(self.root))
        self.landing = self.root / layout.LANDING
        self.catalogue = self.root / layout.CATALOGUE
        self.item_lists = self.root / layout.ITEM_LISTS
        self.studies = self.root / layout.STUDIES
        self.tuned_file = self.root / layout.TUNED

    def create(self) -> "Store":
        """Make the folders that people put files into."""
        self.landing.mkdir(parents=True, exist_ok=True)
        self.catalogue.mkdir(exist_ok=True)
        self.item_lists.mkdir(exist_ok=True)
        return self

    def exists(self) -> bool:
        """Whether there is anything at the store's location."""
        return self.root.is_dir()

    # ---- where things are

    def shown(self, path: Path) -> str:
        """A path below `root` as people name it."""
        return f"{self.location}/{path.relative_to(self.root)}"

    def path(self, name: PurePath | str) -> Path:
        """A file or folder by its name below `root`, as in layout.py."""
        return self.root / name

    def temporary(self, name: str) -> Path:
        """A place for what is not complete; an erasure removes what a killed process left there."""
        return self.root / f"{layout.TEMPORARY}{name}"

    def files(self) -> list[PurePath]:
        """Names of all files below `root`, but for locks and what DuckDB spills."""
        names = (path.relative_to(self.root) for path in self.root.rglob("*") if path.is_file())
        skipped = (layout.LOCK, layout.SPILL)
        return sorted(n for n in names if not any(part.startswith(skipped) for part in n.parts))

    def read_file(self, name: str) -> bytes | None:
        """Content of a small file by its name below `root`; None if there is none."""
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            return None

    def location_for_readers(self, run_key: str, name: str) -> tuple[str, Any]:
        """Path of a run's table or of a file in it, and the fsspec file system to read it with.

        The file system is None for the local disk.
        """
        return str(self.table(run_key, name)), None

    def table(self, run_key: str, name: str) -> Path:
        """Folder of a table of a run, such as "recommendations"; with "" the folder of the run."""
        return self.root / layout.table(run_key, name)

    def ratings(self, run_key: str) -> Path:
        """Folder of the ratings that a run accepted."""
        return self.root / layout.ratings(run_key)

    def rejected(self, run_key: str) -> Path:
        """Folder of the rows that a run rejected."""
        return self.root / layout.rejected(run_key)

    # ---- records that most tasks read

    def outcome(self, run_key: str, task: str) -> Outcome | None:
        """How a task of a run ended, None if it has not."""
        return self.records.outcome(run_key, task)

    def required_outcome(self, run_key: str, task: str) -> Outcome:
        """How a task of a run ended. Raises StoreError if it has not."""
        return self.records.required_outcome(run_key, task)

    def failure(self, run_key: str, task: str) -> Failure | None:
        """How the last attempt of a task failed, None if it did not."""
        return self.records.failure(run_key, task)

    def manifest(self, run_key: str) -> dict[str, Any] | None:
        """The manifest of a published run, None if the run is not published."""
        return self.records.manifest(run_key)

    def published(self) -> list[str]:
        """Keys of the published runs, oldest first."""
        return self.records.published()

    def current(self) -> str | None:
        """Key of the run that readers use, None before the first was published."""
        return self.records.current()

    def batches(self, up_to: str | None = None) -> list[str]:
        """Keys of the complete batches, up to and including `up_to`, oldest first."""
        return self.records.batches(up_to)

    def run_keys(self) -> list[str]:
        """All runs that have tables, published or not, oldest first."""
        return self.records.run_keys()

    # ---- within the lock

    @contextmanager
    def lock(
        self, name: str, run_key: str | None = None, needs: Collection[str] | None = None
    ) -> Iterator["Store"]:
        """The store to work on, while no other process holds the lock of this name.

        `needs` names the folders that are read or written within, for a store in a bucket, which
        downloads no others: "landing", "ratings", "rejected", or tables such as
        "runs/*/normalized", where `*` stands for the run `run_key`, the one published before it and
        the one that readers use, and "current/model" for the latter alone; "runs/*" are all tables
        of these runs, "runs" all tables of all runs. Records, catalogue, lists and tunings are
        always there. None: everything.
        """
        with file_lock(self.root / f"{layout.LOCK}{name}"):
            yield self

    def fetch(self, *needs: str) -> None:
        """Within `lock`: have these folders here as well, named as in its `needs`."""

    def replace_folder(self, target: Path) -> AbstractContextManager[Path]:
        """A temporary folder to write into, which replaces `target` on success."""
        return files.replace_folder(target)

    def replace_file(self, target: Path) -> AbstractContextManager[Path]:
        """A temporary file to write, which replaces `target` on success."""
        return files.replace_file(target, staging=self.root)

    def set_current(self, run_key: str) -> None:
        """Point readers to a run, atomically. Raises StoreError if the run is not published."""
        if self.manifest(run_key) is None:
            known = ", ".join(self.published()) or "none"
            raise StoreError(
                f"run {run_key} is not published in {self.location}; published runs: {known}"
            )
        before, path = self.current(), layout.table(run_key, "")
        if before is not None and before != run_key:
            (self.root / layout.replaced(before)).touch()
        files.point_link(self.root / layout.CURRENT_LINK, Path(path))
        self.records.files.write(layout.CURRENT, {"run_key": run_key, "path": path})

    def add_to_catalogue(self, file: Path) -> None:
        """Keep a copy of a catalogue file; it replaces an earlier one of that name."""
        if not file.is_file():
            raise StoreError(f"found no file {file}, expected a catalogue of items")
        temporary = self.catalogue / f"{layout.TEMPORARY}{file.name}"
        shutil.copyfile(file, temporary)
        temporary.replace(self.catalogue / file.name)
