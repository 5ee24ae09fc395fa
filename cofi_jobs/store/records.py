"""The records of a store: small JSON files, each replaced in one step.

Where the records are is a `RecordFiles`: in a folder, or in a bucket (remote.py).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict

from cofi_jobs.core.errors import StoreError
from cofi_jobs.core.feedback import Feedback
from cofi_jobs.store import files, layout

Outcome = dict[str, Any]  # how a task ended: its own fields, and `settings` and `seconds`
# How a task failed: `error`, and `permanent`, whether trying again cannot help. The record of a
# refused run holds its evaluation as well.
Failure = dict[str, Any]


class Compacted(TypedDict):
    """Which batches are compacted, oldest first, into which file, and the rows of that file."""

    batches: list[str]
    part: str | None
    rows: int
    rows_superseded: NotRequired[int]  # left out so far, by newer rows of the same pair
    rows_erased: NotRequired[int]  # removed so far, of erased users


class Tombstone(TypedDict):
    """An erased user: see erasure/tombstones.py."""

    hash: str
    until: str
    pending: list[str]


class RecordFiles(Protocol):
    """Reads and writes records, by their names in layout.py."""

    def read(self, name: str) -> Any:
        """Content of a record, None if there is none. Raises StoreError if it is no JSON."""

    def write(self, name: str, content: Any) -> None:
        """Replace a record."""

    def remove(self, name: str) -> None:
        """Remove a record, if it is there."""

    def names(self, pattern: str) -> list[str]:
        """Names below the root that match a pattern."""


class FolderRecordFiles:
    """Records in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str) -> Any:
        """Content of a record, None if there is none. Raises StoreError if it is no JSON."""
        path = self.root / name
        try:
            return files.parse_json(path.read_text(encoding="utf-8"), str(path))
        except FileNotFoundError:
            return None

    def write(self, name: str, content: Any) -> None:
        """Replace a record."""
        files.write_json(self.root / name, content)

    def remove(self, name: str) -> None:
        """Remove a record, if it is there."""
        (self.root / name).unlink(missing_ok=True)

    def names(self, pattern: str) -> list[str]:
        """Names below the root that match a pattern."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.glob(pattern))


class Records:
    """Typed access to the records of a store."""

    def __init__(self, files: RecordFiles) -> None:
        self.files = files

    # ---- of tasks

    def outcome(self, run_key: str, task: str) -> Outcome | None:
        """How a task of a run ended, None if it has not."""
        return self.files.read(layout.outcome(run_key, task))

    def required_outcome(self, run_key: str, task: str) -> Outcome:
        """How a task of a run ended. Raises StoreError if it has not."""
        outcome = self.outcome(run_key, task)
        if outcome is None:
            raise StoreError(f"found no outcome of {task} in run {run_key}; run that task first")
        return outcome

    def write_outcome(self, run_key: str, task: str, outcome: Outcome) -> None:
        """Record how a task ended. From here on its tables count."""
        self.files.write(layout.outcome(run_key, task), outcome)

    def failure(self, run_key: str, task: str) -> Failure | None:
        """How the last attempt of a task failed, None if it did not."""
        return self.files.read(layout.failure(run_key, task))

    def write_failure(self, run_key: str, task: str, failure: Failure) -> None:
        """Record how a task failed."""
        self.files.write(layout.failure(run_key, task), failure)

    def clear_failure(self, run_key: str, task: str) -> None:
        """Remove the record of a failed attempt."""
        self.files.remove(layout.failure(run_key, task))

    def forget_outcomes(self, run_key: str, tasks: Iterable[str]) -> None:
        """The tables of these tasks no longer count: what they are made from is about to change."""
        for task in tasks:
            self.files.remove(layout.outcome(run_key, task))
            self.clear_failure(run_key, task)

    def batches(self, up_to: str | None = None) -> list[str]:
        """Keys of the complete batches, oldest first: of the runs whose ingest has ended."""
        keys = (name.split("/")[1] for name in self.files.names(layout.ALL_OUTCOMES_OF_INGEST))
        return sorted(key for key in keys if up_to is None or key <= up_to)

    def failed_runs(self) -> list[str]:
        """Keys of the runs of which a task's last attempt has failed."""
        return sorted({name.split("/")[1] for name in self.files.names(layout.ALL_FAILURES)})

    # ---- of runs

    def run_keys(self) -> list[str]:
        """All runs that have tables, published or not, oldest first."""
        return sorted(name.rpartition("/")[2] for name in self.files.names(layout.ALL_RUNS))

    def manifest(self, run_key: str) -> dict[str, Any] | None:
        """The manifest of a published run, None if the run is not published."""
        return self.files.read(layout.manifest(run_key))

    def write_manifest(self, run_key: str, manifest: dict[str, Any]) -> None:
        """From here on the run is published and never rewritten."""
        self.files.write(layout.manifest(run_key), manifest)

    def published(self) -> list[str]:
        """Keys of the published runs, oldest first."""
        names = self.files.names(layout.ALL_MANIFESTS)
        return sorted(name.rpartition("/")[2].removesuffix(".json") for name in names)

    def current(self) -> str | None:
        """Key of the run that readers use, None before the first was published."""
        current = self.files.read(layout.CURRENT)
        return current["run_key"] if current else None

    # ---- of the store

    def properties(self) -> dict[str, Any] | None:
        """Rating scale and id types, None before the first run."""
        return self.files.read(layout.PROPERTIES)

    def feedback(self) -> Feedback:
        """What users gave: ratings, or events. Stores of older versions have ratings."""
        feedback: Feedback = (self.properties() or {}).get("feedback", "ratings")
        return feedback

    def write_properties(self, properties: dict[str, Any]) -> None:
        """Keep the rating scale and the id types."""
        self.files.write(layout.PROPERTIES, properties)

    def tuned(self) -> dict[str, Any] | None:
        """Settings that tuning found, with where they come from; None before the first tuning."""
        return self.files.read(layout.TUNED)

    def write_tuned(self, content: dict[str, Any]) -> None:
        """Keep settings for the next runs to use."""
        self.files.write(layout.TUNED, content)

    def compacted(self) -> Compacted:
        """Which batches are compacted into one file."""
        return self.files.read(layout.COMPACTED) or Compacted(batches=[], part=None, rows=0)

    def write_compacted(self, compacted: Compacted) -> None:
        """From here on the ratings of these batches are in the file named, and nowhere else."""
        self.files.write(layout.COMPACTED, compacted)

    def tombstones(self) -> list[Tombstone]:
        """Erased users, without their ids."""
        return (self.files.read(layout.TOMBSTONES) or {"users": []})["users"]

    def write_tombstones(self, users: list[Tombstone]) -> None:
        """From here on these users count as erased."""
        self.files.write(layout.TOMBSTONES, {"users": users})
