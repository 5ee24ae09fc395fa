"""A store in a folder, as a task sees it; remote.py has the store in a bucket.

The parts of the store are apart: layout.py knows where things are, files.py replaces files and
folders whole or not at all, records.py reads and writes the records, batches.py and runs.py know
what the records mean together.
"""

import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePath
from typing import IO, Any

from cofi_jobs.core.errors import DamageError, StoreError
from cofi_jobs.store import files, layout, permissions
from cofi_jobs.store.digests import RecordedFile, files_in, measure
from cofi_jobs.store.in_bucket import InBucket
from cofi_jobs.store.locks import file_lock, work_of
from cofi_jobs.store.record_shapes import FileDigest
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
        self.records = Records(record_files or FolderRecordFiles(self.root, self.location))
        self.landing = self.root / layout.LANDING
        self.catalogue = self.root / layout.CATALOGUE
        self.item_lists = self.root / layout.ITEM_LISTS
        self.studies = self.root / layout.STUDIES
        self.tuned_file = self.root / layout.TUNED
        self._checked: set[str] = set()  # files that were compared since the lock was taken

    def create(self) -> "Store":
        """Make the folders that people put files into."""
        with permissions.limited():
            for folder in (self.landing, self.catalogue, self.item_lists):
                files.make_folder(folder)
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

    def standing(self, name: PurePath | str) -> Path:
        """The same to read it: in the old folder while a killed replacement is not finished."""
        return files.standing_path(self.root, name)

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

    def file_for_readers(self, name: str) -> tuple[str, Any]:
        """The same of any file, by its name below the root."""
        return str(self.standing(name)), None

    def in_bucket(self, path: Path) -> InBucket | None:
        """Where other machines get a file of the store; None: at this path, if anywhere."""
        return None

    def table(self, run_key: str, name: str) -> Path:
        """Folder of a table of a run, such as "recommendations"; with "" the folder of the run.

        This, `ratings` and `rejected` name the old folder while a killed replacement of it is not
        finished (`files.standing`).
        """
        folder, _, file = name.partition("/")
        return files.standing(self.root / layout.table(run_key, folder)) / file

    def ratings(self, run_key: str) -> Path:
        """Folder of the ratings that a run accepted."""
        return files.standing(self.root / layout.ratings(run_key))

    def rejected(self, run_key: str) -> Path:
        """Folder of the rows that a run rejected."""
        return files.standing(self.root / layout.rejected(run_key))

    # ---- files as they were written

    def open_stored(self, name: str) -> IO[bytes]:
        """A file where the store has it, by its name below `root`. Raises FileNotFoundError."""
        return files.open_file(self.root, name)

    def measure(self, name: str) -> FileDigest | None:
        """The digest of a file below `root` as it is now, None if there is none."""
        try:
            with files.open_file(self.root, name) as content:
                return measure(content)
        except FileNotFoundError:
            return None

    def check(self, recorded: Iterable[RecordedFile]) -> None:
        """Compare files that a task reads with their records, each once within the lock.

        Raises DamageError for a file that is not as it was written.
        """
        for file in recorded:
            if file.name not in self._checked:
                self.require(file, self.measure(file.name))
                self._checked.add(file.name)

    def require(self, file: RecordedFile, actual: FileDigest | None) -> None:
        """Raise DamageError if a file's digest is not as its record says."""
        if flaw := file.flaw(actual):
            raise DamageError(f"{self.location}/{file.name} {flaw}; {file.advice}")

    def checked_table(self, run_key: str, table: str, *names: str) -> Path:
        """Folder of a table of a run to read. Its files, or those named, are as they were written.

        Raises DamageError as `check` does.
        """
        self.check(files_in(self.records, run_key, layout.table(run_key, table), names))
        return self.table(run_key, table)

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

    def published_before(self, run_key: str) -> list[str]:
        """Keys of the published runs that came before a run, oldest first."""
        return self.records.order().before(run_key, self.published())

    def current(self) -> str | None:
        """Key of the run that readers use, None before the first was published."""
        return self.records.current()

    def batches(self, up_to: str | None = None) -> list[str]:
        """Keys of the complete batches, up to and including `up_to`, oldest first."""
        return self.records.batches(up_to)

    def run_keys(self) -> list[str]:
        """All runs that have tables, published or not, oldest first."""
        return self.records.run_keys()

    def runs_up_to(self, run_key: str) -> list[str]:
        """All runs that have tables, up to and including `run_key`, oldest first."""
        return self.records.order().up_to(run_key, self.run_keys())

    # ---- within the lock

    @contextmanager
    def lock(
        self,
        name: str,
        run_key: str | None = None,
        needs: Collection[str] | None = None,
        by: str | None = None,
    ) -> Iterator["Store"]:
        """The store to work on, while no other process holds the lock of this name.

        `needs` names the folders that are read or written within, for a store in a bucket, which
        downloads no others: "landing", "ratings", "rejected", or tables such as
        "runs/*/normalized", where `*` stands for the run `run_key`, the one published before it and
        the one that readers use, and "current/model" for the latter alone; "runs/*" are all tables
        of these runs, "runs" all tables of all runs. Records, catalogue, lists and tunings are
        always there. None: everything. `by` is what takes the lock, if that is not the task `name`:
        a process that waits for more than a second logs who holds it.
        """
        path = self.root / f"{layout.LOCK}{name}"
        with permissions.limited(), file_lock(path, work_of(by or name, run_key)):
            self._checked.clear()
            yield self

    def fetch(self, *needs: str) -> None:
        """Within `lock`: have these folders here as well, named as in its `needs`."""

    def write_ahead(self, name: str) -> None:
        """Within `lock`: a record is where readers find it before the files that it names are."""

    def replace_folder(self, target: Path) -> AbstractContextManager[Path]:
        """A temporary folder to write into, which replaces `target` on success."""
        return files.replace_folder(target)

    def replace_file(self, target: Path) -> AbstractContextManager[Path]:
        """A temporary file to write, which replaces `target` on success."""
        return files.replace_file(target, staging=self.root)

    def set_current(self, run_key: str) -> None:
        """Point readers to a run. Only within the lock "publish".

        CURRENT.json is the truth, and the link `current` follows: if the process is killed between
        the two, `align_link` ends the move. Raises StoreError if the run is not published.
        """
        if self.manifest(run_key) is None:
            known = ", ".join(self.published()) or "none"
            raise StoreError(
                f"run {run_key} is not published in {self.location}; published runs: {known}"
            )
        if not self.table(run_key, "").is_dir():
            raise StoreError(f"found a manifest of run {run_key} in {self.location}, but no tables")
        before = self.current()
        if before != run_key:
            self._note_replaced(before)
        path = layout.table(run_key, "")
        self.records.files.write(layout.CURRENT, {"run_key": run_key, "path": path})
        self.align_link()

    def align_link(self) -> None:
        """Let the link `current` name the run that CURRENT.json names. Within "publish" only."""
        current, link = self.current(), self.root / layout.CURRENT_LINK
        if current is None:
            return
        path = layout.table(current, "")
        linked = str(link.readlink()) if link.is_symlink() else None
        if linked != path:
            self._note_replaced(linked and PurePath(linked).name)
            files.point_link(link, Path(path))

    def _note_replaced(self, run_key: str | None) -> None:
        """Readers leave a published run now."""
        if run_key in self.published():
            files.touch(self.root / layout.replaced(run_key))

    def add_to_catalogue(self, file: Path) -> None:
        """Keep a copy of a catalogue file; it replaces an earlier one of that name."""
        if not file.is_file():
            raise StoreError(f"found no file {file}, expected a catalogue of items")
        temporary = files.unfinished(self.catalogue / file.name)
        shutil.copyfile(file, temporary)
        files.sync(temporary)
        temporary.replace(self.catalogue / file.name)
        files.sync(self.catalogue)
