"""The files of a run's batch: which files are new, and the record that ingest keeps of each."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion.landing import state
from cofi_jobs.store.drops import parts
from cofi_jobs.store.files import sha256
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


class Counts(TypedDict):
    """What became of the rows of a file; `reasons` counts the rejected rows by reason."""

    rows_read: int
    rows_taken: int
    rows_refused: int
    rows_withdrawn: NotRequired[int]  # not in records of older versions
    reasons: dict[str, int]
    time_unit: NotRequired[str | None]  # of times that are numbers; not in older records


class FileRecord(Counts):
    """A file in the outcome of ingest, tasks/<run_key>/ingest.json."""

    name: str
    path: str
    bytes: int
    mtime_ns: int | None  # None: an erasure removed the file; if it comes again, it is read again
    sha256: str
    part: str  # file in the batch's folders; another one after an erasure
    rows_erased: NotRequired[int]
    source: NotRequired[dict[str, str]]


@dataclass(frozen=True)
class NewFile:
    """A file that this run reads."""

    name: str  # below the folder it was dropped in: a part's name has its own folder's
    path: Path
    bytes: int
    mtime_ns: int
    sha256: str

    @property
    def part(self) -> str:
        """Name of the file in the batch.

        It follows from the content, so it is the same in every attempt of a run.
        """
        return f"part-{self.sha256[:16]}.parquet"

    def check_unchanged(self) -> None:
        """Raise RuntimeError if the file is no longer what it was; a retry reads it again."""
        stat = self.path.stat()
        if (stat.st_size, stat.st_mtime_ns) != (self.bytes, self.mtime_ns):
            raise RuntimeError(f"{self.path} was changed while it was read")

    def record(self, counts: Counts) -> FileRecord:
        """What the outcome keeps of the file."""
        return {
            "name": self.name,
            "path": str(self.path),
            "bytes": self.bytes,
            "mtime_ns": self.mtime_ns,
            "sha256": self.sha256,
            **counts,
            "part": self.part,
        }


@dataclass(frozen=True)
class Batch:
    """The files of a run.

    new       files to read
    gone      records of files that an earlier attempt of this run took and that are gone: what was
              taken of them is kept
    replayed  files whose content another run took under another path or at another time
    """

    new: Sequence[NewFile]
    gone: Sequence[FileRecord]
    replayed: Sequence[Path]


def find_batch(store: Store, run_key: str, paths: Sequence[Path]) -> Batch:
    """The files whose content no other run took, and what the run itself took before.

    Of a folder the batch has its parts. Raises DataError for a path without a file.
    """
    records: dict[str, list[FileRecord]] = {
        key: store.required_outcome(key, "ingest")["files"] for key in store.batches()
    }
    earlier_attempt = records.pop(run_key, [])
    others = [record for files in records.values() for record in files]
    digests = {
        (r["path"], r["bytes"], r["mtime_ns"]): r["sha256"] for r in [*others, *earlier_attempt]
    }
    taken_by_others = {record["sha256"] for record in others}
    # Files of an earlier attempt are read again. If they were corrected meanwhile, they are taken
    # as they are now.
    still_there = {
        Path(record["path"]): record["name"]
        for record in earlier_attempt
        if Path(record["path"]).is_file()
    }
    gone = {r["sha256"]: r for r in earlier_attempt if not Path(r["path"]).is_file()}
    new: dict[str, NewFile] = {}
    replayed = []
    for path, name in {**_names(paths), **still_there}.items():
        stat = path.stat()
        # A file with the path, size and time of a recorded one is not hashed again.
        known = digests.get((str(path), stat.st_size, stat.st_mtime_ns))
        file = NewFile(name, path, stat.st_size, stat.st_mtime_ns, known or sha256(path))
        if file.sha256 in taken_by_others:
            if not known:
                replayed.append(path)
            log.info("%s: an earlier run took this content, so it is skipped", path)
        else:
            gone.pop(file.sha256, None)
            new[file.sha256] = file
    files = sorted(new.values(), key=lambda file: (file.name, file.sha256))
    return Batch(files, list(gone.values()), replayed)


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Each file, and each part of a folder, with its name. Raises DataError if there is none."""
    names: dict[Path, str] = {}
    for path in paths:
        problem = state(path).problem
        if not path.exists():
            raise DataError(f"found no file {path}, expected a file of ratings")
        if problem:
            raise DataError(f"{path} {problem}, expected a folder with the parts of a file")
        names |= {file: file.relative_to(path.parent).as_posix() for file in parts(path)}
    return names


def by_name(records: Sequence[FileRecord]) -> list[FileRecord]:
    """Records in the order in which readers take a batch's files."""
    return sorted(records, key=lambda record: (record["name"], record["sha256"]))


def totals(records: Sequence[FileRecord]) -> dict[str, Any]:
    """The counts of all files together."""
    return {
        "rows_read": sum(record["rows_read"] for record in records),
        "rows_taken": sum(record["rows_taken"] for record in records),
        "rows_refused": sum(record["rows_refused"] for record in records),
        "rows_withdrawn": sum(record.get("rows_withdrawn", 0) for record in records),
        "reasons": dict(reasons(records)),
    }


def reasons(records: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """How many rows of all files were rejected, by reason."""
    return sum((Counter(record["reasons"]) for record in records), Counter())
