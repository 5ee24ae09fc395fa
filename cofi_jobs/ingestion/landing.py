"""The landing folder: which dropped files and folders are complete and ready to be read."""

import errno
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cofi_jobs.core.errors import DataError
from cofi_jobs.store.drops import files_below, parts
from cofi_jobs.store.paths import readable_path

log = logging.getLogger(__name__)

DONE = "_SUCCESS"  # Spark and Hive write it when all parts are there
UNFINISHED = "_temporary"  # and have this folder until then
# Of these tables a log says which files count: to read all files would take removed rows too.
TABLES = {"_delta_log": "Delta Lake", ".hoodie": "Hudi", "version-hint.text": "Iceberg"}


@dataclass(frozen=True)
class State:
    """A dropped file or folder at one moment: size and time of each file, hidden ones too."""

    files: Mapping[Path, tuple[int, int]]
    is_done: bool  # its writer says that it is complete
    problem: str | None  # why it cannot be read yet

    @property
    def modified(self) -> float:
        """When something in it changed last, in seconds since 1970."""
        return max((time_ns for _, time_ns in self.files.values()), default=0) / 1e9


def state(path: Path) -> State:
    """What is there now.

    Raises DataError for a name that cannot be used, and for a folder that is a table with a log.
    """
    for file in (path, *parts(path)):
        readable_path(file)
    if not path.is_dir():
        return State(_stats([path]), False, None if path.is_file() else "is no file")
    files = _stats(files_below(path))
    names = {name for file in files for name in file.relative_to(path).parts}
    for name, table in TABLES.items():
        if name in names:
            raise DataError(
                f"{path}: found a table of {table}, whose log says which files count, "
                "expected a file or a folder of parts; export the table as Parquet"
            )
    marker = files.get(path / DONE)
    is_done = marker is not None and marker[1] >= max(time_ns for _, time_ns in files.values())
    problem = None
    if UNFINISHED in names or any(folder.is_dir() for folder in path.rglob(UNFINISHED)):
        problem = f"is still being written (it has a folder {UNFINISHED})"
    elif not parts(path):
        problem = "has no files yet"
    return State(files, is_done, problem)


def settled(paths: Sequence[Path], seconds: float) -> list[Path]:
    """Those files and folders that are complete, the others are named in the log.

    A folder is complete if its writer says so (_SUCCESS). It is complete too, as a file is, if it
    did not change for so many seconds; this waits until that is known of all.
    """
    before = {path: state(path) for path in paths}
    oldest = time.time() - seconds
    young = {
        path: then.modified
        for path, then in before.items()
        if not then.is_done and then.modified > oldest
    }
    if young:
        time.sleep(min(seconds, max(young.values()) - oldest))
    ready = []
    for path, then in before.items():
        now = state(path) if path in young else then
        problem = now.problem or ("is still being written" if now != then else None)
        if problem:
            log.warning("%s %s, so it is left for the next run", path, problem)
        else:
            ready.append(path)
    return ready


def _stats(files: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Size and time of each file, without those that are gone, and links that lead nowhere."""
    stats = {}
    for file in files:
        try:
            stat = file.stat()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):
                continue
            raise
        stats[file] = (stat.st_size, stat.st_mtime_ns)
    return stats
