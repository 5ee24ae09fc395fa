"""The records of a store: small JSON files, each replaced in one step.

Where the records are is a `RecordFiles`: in a folder, or in a bucket (remote.py). What is read is
checked (record_json.py): all that reads here raises StoreError for a damaged record.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from cofi_jobs.core.errors import StoreError, cut
from cofi_jobs.core.feedback import Feedback
from cofi_jobs.store import files, layout
from cofi_jobs.store.id_folders import without_users
from cofi_jobs.store.record_json import Record, parse
from cofi_jobs.store.record_kinds import BACKUP
from cofi_jobs.store.record_shapes import BegunRun, Compacted, Tombstone
from cofi_jobs.store.run_order import RunOrder

Outcome = dict[str, Any]  # how a task ended: its own fields, and `settings` and `seconds`
# How a task failed: `error`, and `permanent`, whether trying again cannot help. The record of a
# refused run holds its evaluation as well.
Failure = dict[str, Any]


class RecordFiles(Protocol):
    """Reads and writes records, by their names in layout.py."""

    location: str  # of the store, as people name it

    def read(self, name: str) -> Record | None:
        """Content of a record, None if there is none. Raises StoreError if it is damaged."""

    def write(self, name: str, content: Any) -> None:
        """Replace a record."""

    def remove(self, name: str) -> None:
        """Remove a record, if it is there."""

    def names(self, pattern: str) -> list[str]:
        """Names below the root that match a pattern, without hidden ones."""


class FolderRecordFiles:
    """Records in a folder."""

    def __init__(self, root: Path, location: str | None = None) -> None:
        self.root = root
        self.location = location or str(root)

    def read(self, name: str) -> Record | None:
        """Content of a record, None if there is none. Raises StoreError if it is damaged."""
        try:
            return parse((self.root / name).read_bytes(), name, self.location)
        except FileNotFoundError:
            return None

    def write(self, name: str, content: Any) -> None:
        """Replace a record."""
        files.write_json(self.root / name, content)

    def remove(self, name: str) -> None:
        """Remove a record, if it is there."""
        files.remove(self.root / name)

    def names(self, pattern: str) -> list[str]:
        """Names below the root that match a pattern, without hidden ones."""
        names = sorted(str(path.relative_to(self.root)) for path in self.root.glob(pattern))
        return [name for name in names if not layout.is_hidden(name)]


class Records:
    """Typed access to the records of a store."""

    def __init__(self, files: RecordFiles) -> None:
        self.files = files

    def _fields(self, name: str) -> dict[str, Any]:
        """The fields of a record, those of newer versions too; none if there is no record."""
        return self.files.read(name) or {}

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

    def outcomes(self, run_key: str) -> dict[str, Outcome]:
        """How the tasks of a run ended that have ended, by task."""
        names = self.files.names(layout.records_of_tasks(run_key))
        tasks = [name.rpartition("/")[2].removesuffix(".json") for name in names]
        ended = [task for task in tasks if "." not in task]  # the others are failures
        return {task: outcome for task in ended if (outcome := self.outcome(run_key, task))}

    def write_outcome(self, run_key: str, task: str, outcome: Outcome) -> None:
        """Record how a task ended. From here on its tables count."""
        self.files.write(layout.outcome(run_key, task), outcome)

    def failure(self, run_key: str, task: str) -> Failure | None:
        """How the last attempt of a task failed, None if it did not."""
        return self.files.read(layout.failure(run_key, task))

    def write_failure(self, run_key: str, task: str, failure: Failure) -> None:
        """Record how a task failed; of its error not more than a message, without users' ids."""
        error = cut(without_users(failure["error"]))
        self.files.write(layout.failure(run_key, task), {**failure, "error": error})

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
        keys = layout.run_keys_in(self.files.names(layout.ALL_OUTCOMES_OF_INGEST))
        order = self.order()
        return order.in_order(keys) if up_to is None else order.up_to(up_to, keys)

    def failed_runs(self) -> list[str]:
        """Keys of the runs of which a task's last attempt has failed."""
        return self._in_order(layout.ALL_FAILURES)

    # ---- of runs

    def begun(self) -> list[BegunRun]:
        """The runs in the order in which they began; none in a store that older versions made."""
        order = self.files.read(layout.ORDER)
        return [] if order is None else order["runs"]

    def write_begun(self, runs: Sequence[BegunRun]) -> None:
        """Replace the order of the runs."""
        self.files.write(layout.ORDER, {**self._fields(layout.ORDER), "runs": list(runs)})

    def order(self) -> RunOrder:
        """Which run comes before which."""
        return RunOrder([run["key"] for run in self.begun()])

    def run_keys(self) -> list[str]:
        """All runs that have tables, published or not, oldest first."""
        return self._in_order(layout.ALL_RUNS)

    def manifest(self, run_key: str) -> dict[str, Any] | None:
        """The manifest of a published run, None if the run is not published."""
        return self.files.read(layout.manifest(run_key))

    def write_manifest(self, run_key: str, manifest: dict[str, Any]) -> None:
        """From here on the run is published and never rewritten."""
        self.files.write(layout.manifest(run_key), manifest)

    def published(self) -> list[str]:
        """Keys of the published runs, oldest first."""
        return self._in_order(layout.ALL_MANIFESTS, ".json")

    def published_with_tables(self) -> list[str]:
        """The same without manifests of no run, such as copies that a person made."""
        tables = self.run_keys()
        return [key for key in self.published() if key in tables]

    def _in_order(self, pattern: str, suffix: str = "") -> list[str]:
        """Keys of the runs that own the files of a pattern, oldest first."""
        return self.order().in_order(layout.run_keys_in(self.files.names(pattern), suffix))

    def current(self) -> str | None:
        """Key of the run that readers use, None before the first was published."""
        current = self.files.read(layout.CURRENT)
        return None if current is None else current["run_key"]

    # ---- of the store

    def properties(self) -> dict[str, Any] | None:
        """Rating scale and id types, None before the first run.

        Raises StoreError if the record is lost.
        """
        record = self.files.read(layout.PROPERTIES)
        if record is None and (batches := self.batches()):
            raise StoreError(
                f"found no {self.files.location}/{layout.PROPERTIES} beside the ratings of "
                f"{len(batches)} runs, expected their scale and types of ids; {BACKUP}"
            )
        return record

    def feedback(self) -> Feedback:
        """What users gave: ratings, or events. Stores of older versions have ratings."""
        feedback: Feedback = (self.properties() or {}).get("feedback", "ratings")
        return feedback

    def write_properties(self, properties: dict[str, Any]) -> None:
        """Keep the rating scale and the id types."""
        self.files.write(layout.PROPERTIES, properties)

    def tuned(self) -> dict[str, Any] | None:
        """Settings that tuning found, with where they come from; None before the first tuning.

        tuning/tuned.py checks them: people write them, too.
        """
        return self.files.read(layout.TUNED)

    def write_tuned(self, content: dict[str, Any]) -> None:
        """Keep settings for the next runs to use."""
        self.files.write(layout.TUNED, content)

    def compacted(self) -> Compacted:
        """Which batches are compacted into one file."""
        compacted = self.files.read(layout.COMPACTED)
        return cast(Compacted, compacted or Compacted(batches=[], part=None, rows=0))

    def write_compacted(self, compacted: Compacted) -> None:
        """From here on the ratings of these batches are in the file named, and nowhere else."""
        self.files.write(layout.COMPACTED, compacted)

    def tombstones(self) -> list[Tombstone]:
        """Erased users, without their ids. Raises StoreError if their record is lost."""
        record = self.files.read(layout.TOMBSTONES)
        if record is None and self.files.names(layout.ERASURE_KEY):
            raise StoreError(
                f"found no {self.files.location}/{layout.TOMBSTONES} beside {layout.ERASURE_KEY}, "
                f"expected the tombstones of erased users; {BACKUP}. Only if no erasure has ever "
                f"ended in this store, remove {layout.ERASURE_KEY} and erase again"
            )
        return [] if record is None else record["users"]

    def has_tombstones(self) -> bool:
        """Whether there is a record of erased users, even an empty one."""
        return self.files.read(layout.TOMBSTONES) is not None

    def key_check(self) -> str | None:
        """What the key of the tombstones must give; None if an older version wrote them."""
        return self._fields(layout.TOMBSTONES).get("key_check")

    def write_tombstones(self, users: list[Tombstone], key_check: str | None = None) -> None:
        """From here on these users count as erased. `key_check` stays as it is if it is None."""
        record = {**self._fields(layout.TOMBSTONES), "users": users}
        if key_check is not None:
            record["key_check"] = key_check
        self.files.write(layout.TOMBSTONES, record)
