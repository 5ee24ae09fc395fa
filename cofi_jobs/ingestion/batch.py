"""The files of a run's batch: which files are new, and the record that ingest keeps of each."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion.landing import state
from cofi_jobs.store.drops import parts
from cofi_jobs.store.files import sha256
from cofi_jobs.store.in_bucket import InBucket
from cofi_jobs.store.run_shapes import Counts, TakenFile
from cofi_jobs.store.source_roots import SourceRoots
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewFile:
    """A file that this run reads."""

    name: str  # below the folder it was dropped in: a part's name has its own folder's
    path: Path
    bytes: int
    mtime_ns: int
    sha256: str
    in_bucket: InBucket | None = None  # where machines get it that do not have it

    @property
    def dropped(self) -> Path:
        """The file itself, or the folder that was dropped and of which it is a part."""
        depth = self.name.count("/")
        return (self.path, *self.path.parents)[depth]

    @property
    def part(self) -> str:
        """Name of the file in the batch, the same in every attempt of a run.

        It follows from the content, and in a folder from the name, since parts may be equal.
        """
        if self.dropped == self.path:
            return f"part-{self.sha256[:16]}.parquet"
        name = hashlib.sha256(self.name.encode()).hexdigest()
        return f"part-{self.sha256[:16]}-{name[:8]}.parquet"

    def check_unchanged(self) -> None:
        """Raise RuntimeError if the file is no longer what it was; a retry reads it again."""
        stat = self.path.stat()
        if (stat.st_size, stat.st_mtime_ns) != (self.bytes, self.mtime_ns):
            raise RuntimeError(f"{self.path} was changed while it was read")

    def record(self, counts: Counts) -> TakenFile:
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
    gone: Sequence[TakenFile]
    replayed: Sequence[Path]


def find_batch(store: Store, run_key: str, paths: Sequence[Path]) -> Batch:
    """The files whose content no other run took, and what the run itself took before.

    Of a folder the batch has its parts. Raises DataError for a path without a file, and for a
    link that leads to where no source may be.
    """
    records: dict[str, list[TakenFile]] = {
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
    new: dict[str, list[NewFile]] = {}  # by content
    replayed = []
    roots = SourceRoots.of(store, given=[*paths, *still_there])
    for path, name in {**_names(paths), **still_there}.items():
        stat = roots.check(path).stat()
        # A file with the path, size and time of a recorded one is not hashed again.
        known = digests.get((str(path), stat.st_size, stat.st_mtime_ns))
        digest = known or sha256(path)
        stored = store.in_bucket(path)
        file = NewFile(name, path, stat.st_size, stat.st_mtime_ns, digest, stored)
        if file.sha256 in taken_by_others:
            if not known:
                replayed.append(path)
            log.info("%s: an earlier run took this content, so it is skipped", path)
        else:
            equal = new.setdefault(file.sha256, [])
            if equal and equal[0].dropped != file.dropped:
                log.warning("%s has the content of %s, so it is read once", path, equal[0].path)
                equal.clear()
            equal.append(file)
    files = sorted(chain(*new.values()), key=lambda file: (file.name, file.sha256))
    return Batch(files, _gone(earlier_attempt, new), replayed)


def _gone(records: Sequence[TakenFile], new: Mapping[str, Sequence[NewFile]]) -> list[TakenFile]:
    """Records of files that are gone, of `new` files by content only those that lack an equal."""
    n_lacking = Counter(record["sha256"] for record in records)
    n_lacking.subtract({sha256: len(files) for sha256, files in new.items()})
    gone = []
    for record in records:
        if not Path(record["path"]).is_file() and n_lacking[record["sha256"]] > 0:
            n_lacking[record["sha256"]] -= 1
            gone.append(record)
    return gone


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


def by_name(records: Sequence[TakenFile]) -> list[TakenFile]:
    """Records in the order in which readers take a batch's files."""
    return sorted(records, key=lambda record: (record["name"], record["sha256"]))


def totals(records: Sequence[TakenFile]) -> dict[str, Any]:
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
