"""The SHA-256 of the files of batches and tables: in the records, compared before a file is read.

The outcome of a task has the files that it wrote. For what readers see of a published run the
manifest counts instead, and for compacted batches merged.json. Records of older versions have no
digests; their files are read without this check.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO

from cofi_jobs.store import layout
from cofi_jobs.store.files import parquet_files
from cofi_jobs.store.record_kinds import BACKUP
from cofi_jobs.store.record_shapes import FileDigest
from cofi_jobs.store.records import Records

BLOCK = 1 << 23  # bytes: in a bucket each block is a request
PUBLISH = "publish"  # the task that writes the manifest and merged.json
MISSING = "is missing"  # maybe a folder has its name


@dataclass(frozen=True)
class RecordedFile:
    """A file that a record has, by its name below the store's root."""

    name: str
    digest: FileDigest
    run_key: str | None  # of its run or batch, None for the compacted batches
    task: str  # that wrote it, PUBLISH where the manifest or merged.json has it
    is_final: bool  # whether its run is published

    @property
    def is_in_batch(self) -> bool:
        """Whether it holds rows that a run took or rejected, of one batch or of compacted ones."""
        return not layout.is_in(self.name, layout.RUNS)

    @property
    def is_in_manifest(self) -> bool:
        """Whether the manifest counts, and not the outcome of the task."""
        return self.task == PUBLISH

    @property
    def table(self) -> str:
        """The table of its run, or the name of its file in a batch."""
        return self.name.split("/")[2]

    def flaw(self, actual: FileDigest | None) -> str | None:
        """What is wrong with a file of this digest, or with none; None if it is as written."""
        expected = self.digest
        if actual is None:
            return MISSING
        if actual["sha256"] in (expected["sha256"], expected.get("sha256_before")):
            return None
        if actual["bytes"] != expected["bytes"]:
            return f"is damaged: it has {actual['bytes']} bytes, {expected['bytes']} were written"
        return f"is damaged: its SHA-256 is {actual['sha256']}, not {expected['sha256']}"

    @property
    def advice(self) -> str:
        """What a person can do about it."""
        if self.is_in_batch:
            return BACKUP
        if not self.is_final:
            command = self.task.replace("_", "-")
            return (
                f"make it again: clear the task {self.task}, "
                f"or `cofi {command} --run-key {self.run_key}`"
            )
        if self.table in layout.PUBLISHED:
            return (
                f"{BACKUP}, or make new lists by a new run; "
                "`cofi rollback` gives readers another run meanwhile"
            )
        return self._advice_on_inner_table()

    @property
    def is_dispensable(self) -> bool:
        """Whether it is of a published run, of a table that can be removed as `advice` says."""
        return self.is_final and not self.is_in_batch and self.table not in layout.PUBLISHED

    def _advice_on_inner_table(self) -> str:
        """What can be done without a backup of a table of a published run that is not published."""
        run = f"runs/{self.run_key}"
        if self.table == "trial":
            return f"{BACKUP}, or remove {run}/trial, and the next run does without it"
        if self.table == "normalized":  # to the next run, it says what the holdout model has seen
            return (
                f"{BACKUP}; or remove {run}/trial, give readers another run, by a new one or by "
                f"`cofi rollback`, and then remove {run}/normalized"
            )
        return f"{BACKUP}, or remove {run}/{self.table}, which only the report of that run reads"


def measure(content: IO[bytes]) -> FileDigest:
    """The digest of what can be read from here on, read in blocks."""
    n_bytes, digest = 0, hashlib.sha256()
    while block := content.read(BLOCK):
        n_bytes += len(block)
        digest.update(block)
    return FileDigest(bytes=n_bytes, sha256=digest.hexdigest())


def digest_of(path: Path) -> FileDigest:
    """The digest of a file on the disk."""
    with path.open("rb") as content:
        return measure(content)


def written(root: Path, run_key: str, folders: Iterable[str]) -> dict[str, FileDigest]:
    """The Parquet files that a task has written into these folders, named as it declares them."""
    return {
        str(path.relative_to(root)): digest_of(path)
        for folder in folders
        if (name := layout.folder_of_run(run_key, folder)) is not None
        for path in parquet_files(root / name)
    }


def files_of_run(records: Records, run_key: str) -> dict[str, RecordedFile]:
    """The files of a run's batch and of its tables, by name."""
    manifest = records.manifest(run_key)
    is_compacted = run_key in records.compacted()["batches"]

    def counts(name: str) -> bool:
        if layout.is_in(name, layout.RATINGS):
            return not is_compacted
        return manifest is None or name.split("/")[2] not in layout.PUBLISHED

    digests = {
        name: (digest, task)
        for task, outcome in records.outcomes(run_key).items()
        for name, digest in outcome.get("digests", {}).items()
        if counts(name)
    }
    for file in (manifest or {}).get("files", ()):
        digests[layout.table(run_key, file["path"])] = (file, PUBLISH)
    return {
        name: RecordedFile(name, digest, run_key, task, manifest is not None)
        for name, (digest, task) in digests.items()
    }


def files_in(
    records: Records, run_key: str, folder: str, names: Collection[str] = ()
) -> list[RecordedFile]:
    """The files of a run in a folder of its batch or tables: all, or those of these names."""
    return [
        file
        for name, file in files_of_run(records, run_key).items()
        if layout.is_in(name, folder) and (not names or PurePath(name).name in names)
    ]


def compacted_file(records: Records) -> RecordedFile | None:
    """The file of the compacted batches; None if there is none, or an older version made it."""
    compacted = records.compacted()
    if compacted["part"] is None or "sha256" not in compacted:
        return None
    digest = FileDigest(bytes=compacted["bytes"], sha256=compacted["sha256"])
    name = f"{layout.COMPACTED_PARTS}/{compacted['part']}"
    return RecordedFile(name, digest, None, PUBLISH, is_final=True)
