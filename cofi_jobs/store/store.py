"""The store: the only file that knows paths, staging, renames and markers.

Layout (see docs/outputs.md):

    store.json                          rating scale and id types, fixed by the first night
    landing/  catalogue/                what upstream drops: rating files; titles and groups of items
    lists/                              items to show or not: allow.txt, deny.txt
    ratings/batch=<run_key>/            clean new ratings of one run
    merged.json, ratings/merged/        older batches as one file, once there are many
    rejected/batch=<run_key>/           refused rows of one run, with reasons
    runs/<run_key>/<table>/             what a run makes
    tasks/<run_key>/<task>.json         how a task of a run ended: counts, settings, files read
    manifests/<run_key>.json            a published run
    CURRENT.json, current -> runs/...   the run that readers use
    settings.json                       settings that tuning found
    tune/<study>.journal                the trials of a tuning
    erased.json, erased.key             tombstones of erased users: keyed hashes, and their key (mode 0600)

A folder is written under a temporary name beside its place and then renamed, so it is there whole or not at all.
A batch counts once its ingest task has left its outcome.

Where the ratings of a batch are is said in one place: the batch's outcome of ingest names its files, unless merged.json
lists the batch; then they are in the file that it names. Both are replaced in one step, after the files that they name
were written and before those that they named are removed. So at any moment each rating is found once, and files that
nothing names are leftovers, which `sweep` removes.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cofi_jobs.core.errors import SettingsError, StoreError

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
RUN_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
RUN_TIME = "%Y-%m-%dT%H-%M-%S.%fZ"
TEMPORARY = ".tmp-"


class Store:
    """A store in a folder of a local or shared disk; mirror.py has the one in a bucket.

    Raises SettingsError if `root` is an address such as s3://..., save one of a bucket's for which there is a mirror.
    """

    def __init__(self, root: Path | str) -> None:
        if found := SCHEME.match(
            str(root)
        ):  # the rest of it is not shown: an address can hold a password
            raise SettingsError(
                f"found a store whose location starts with {found[0]!r}, expected a folder"
            )
        self.root = Path(root).absolute()
        self.location = str(self.root)  # as people name it
        self.landing = self.root / "landing"
        self.catalogue = self.root / "catalogue"
        self.lists = self.root / "lists"
        self.studies = self.root / "tune"
        self.tuned_file = self.root / "settings.json"

    def create(self) -> "Store":
        """Make the folders that people put files into."""
        self.landing.mkdir(parents=True, exist_ok=True)
        self.catalogue.mkdir(exist_ok=True)
        self.lists.mkdir(exist_ok=True)
        return self

    # ---- where things are

    def shown(self, path: Path) -> str:
        """A path below `root` as people name it."""
        return f"{self.location}/{path.relative_to(self.root)}"

    def paths(self, pattern: str) -> list[Path]:
        """Paths below `root` that match a pattern."""
        return sorted(self.root.glob(pattern))

    def readable(self, run_key: str, name: str) -> tuple[str, Any]:
        """Path of a table or file of a run for readers, and the file system that it is in; None: this machine's."""
        return str(self.table(run_key, name)), None

    def table(self, run_key: str, name: str) -> Path:
        """Folder of a table of a run, such as "recommendations"."""
        return self.root / "runs" / run_key / name

    def ratings(self, run_key: str) -> Path:
        """Folder of the clean ratings that a run took in."""
        return self.root / "ratings" / f"batch={run_key}"

    def rejected(self, run_key: str) -> Path:
        """Folder of the rows that a run refused."""
        return self.root / "rejected" / f"batch={run_key}"

    def batches(self, up_to: str | None = None) -> list[str]:
        """Keys of the complete batches, up to and including `up_to`, oldest first. Keys sort as text."""
        keys = (path.parent.name for path in self.paths("tasks/*/ingest.json"))
        return sorted(key for key in keys if up_to is None or key <= up_to)

    def merged(self) -> dict[str, Any]:
        """What batches are merged, oldest first, in which file, and how many rows that has."""
        return self._read_json(self.root / "merged.json") or {
            "batches": [],
            "part": None,
            "rows": 0,
        }

    def write_merged(self, merged: dict[str, Any]) -> None:
        """From here on the ratings of these batches are in the file named, and nowhere else."""
        self.write_json(self.root / "merged.json", merged)

    def merged_part(self, name: str) -> Path:
        """A file of merged batches."""
        return self.root / "ratings" / "merged" / name

    def rating_parts(self, up_to: str | None = None) -> dict[Path, int]:
        """Files with the ratings of all batches up to a run's, in order of arrival, and the rows that each has.

        Raises StoreError if some of the batches are merged with later ones, of which the run knows nothing.
        """
        merged = self.merged()
        if up_to is not None and merged["batches"] and up_to < merged["batches"][-1]:
            raise StoreError(
                f"found the batches up to {merged['batches'][-1]} merged, so a run {up_to} cannot be made any more"
            )
        parts = {self.merged_part(merged["part"]): merged["rows"]} if merged["batches"] else {}
        for key in self.batches(up_to):
            if key not in merged["batches"]:
                for file in self.required_outcome(key, "ingest")["files"]:
                    parts[self.ratings(key) / file["part"]] = file["rows_taken"] - file.get(
                        "rows_erased", 0
                    )
        return parts

    def keep_refused(self, run_key: str, folder: Path) -> None:
        """Show the refused rows of a run that takes nothing because of them, until the next publication."""
        shutil.rmtree(self.rejected(run_key), ignore_errors=True)
        folder.rename(self.rejected(run_key))

    def sweep_batches(self) -> None:
        """Remove files of ratings and refused rows that nothing names. Only while no task reads or writes batches."""
        for path in self.root.glob(f"{TEMPORARY}file-*"):  # of `replace_file`, killed
            path.unlink()
        merged = self.merged()
        for path in self.merged_part("").glob("*"):
            if path.name != merged["part"]:
                path.unlink()
        for key in merged["batches"]:
            shutil.rmtree(self.ratings(key), ignore_errors=True)
        batches = self.batches()
        for folder in self.root.glob("rejected/batch=*"):
            if folder not in map(self.rejected, batches):
                shutil.rmtree(folder)
        for key in batches:
            parts = {file["part"] for file in self.required_outcome(key, "ingest")["files"]}
            for folder in (self.ratings(key), self.rejected(key)):
                for path in folder.glob("*.parquet"):
                    if path.name not in parts:
                        path.unlink()

    def taken(self) -> set[str]:
        """SHA-256 of every file that was taken into a batch."""
        return {
            file["sha256"]
            for key in self.batches()
            for file in self.required_outcome(key, "ingest")["files"]
        }

    # ---- outcomes, manifests, the current run

    def outcome(self, run_key: str, task: str) -> dict[str, Any] | None:
        """How a task of a run ended, None if it has not."""
        return self._read_json(self.root / "tasks" / run_key / f"{task}.json")

    def required_outcome(self, run_key: str, task: str) -> dict[str, Any]:
        """How a task of a run ended. Raises StoreError if it has not."""
        outcome = self.outcome(run_key, task)
        if outcome is None:
            raise StoreError(f"found no outcome of {task} in run {run_key}; run that task first")
        return outcome

    def write_outcome(self, run_key: str, task: str, outcome: dict[str, Any]) -> None:
        """Record how a task ended; this is what makes its tables count."""
        self.write_json(self.root / "tasks" / run_key / f"{task}.json", outcome)

    def failure(self, run_key: str, task: str) -> dict[str, Any] | None:
        """How the last attempt of a task failed, None if it did not."""
        return self._read_json(self.root / "tasks" / run_key / f"{task}.failed.json")

    def write_failure(self, run_key: str, task: str, failure: dict[str, Any] | None) -> None:
        """Record how a task failed, or with None that it did not."""
        path = self.root / "tasks" / run_key / f"{task}.failed.json"
        if failure is None:
            self._remove_record(path)
        else:
            self.write_json(path, failure)

    def forget_outcomes(self, run_key: str, tasks: Iterable[str]) -> None:
        """Their tables no longer count: what they were made from is about to change."""
        for task in tasks:
            (self.root / "tasks" / run_key / f"{task}.json").unlink(missing_ok=True)
            self.write_failure(run_key, task, None)

    def run_keys(self) -> list[str]:
        """All runs that have tables, published or not, oldest first."""
        return sorted(path.name for path in self.paths("runs/*"))

    def last_change(self, run_key: str) -> float:
        """When a task of a run last ended, in seconds since 1970; 0 if none has."""
        return max(
            (path.stat().st_mtime for path in self.root.glob(f"tasks/{run_key}/*.json")), default=0
        )

    def properties(self) -> dict[str, Any] | None:
        """Rating scale and id types, None before the first night."""
        return self._read_json(self.root / "store.json")

    def write_properties(self, properties: dict[str, Any]) -> None:
        """Keep the rating scale and the id types."""
        self.write_json(self.root / "store.json", properties)

    def tuned(self) -> dict[str, Any] | None:
        """Settings that tuning found, with where they come from; None before the first tuning."""
        return self._read_json(self.tuned_file)

    def write_tuned(self, content: dict[str, Any]) -> None:
        """Keep settings for the next nights to use."""
        self.write_json(self.tuned_file, content)

    def manifest(self, run_key: str) -> dict[str, Any] | None:
        """The manifest of a published run, None if it is not published."""
        return self._read_json(self.root / "manifests" / f"{run_key}.json")

    def write_manifest(self, run_key: str, manifest: dict[str, Any]) -> None:
        """From here on the run is published and never rewritten."""
        self.write_json(self.root / "manifests" / f"{run_key}.json", manifest)

    def published(self) -> list[str]:
        """Keys of the published runs, oldest first."""
        return sorted(path.stem for path in self.paths("manifests/*.json"))

    def current(self) -> str | None:
        """Key of the run that readers use, None before the first was published."""
        current = self._read_json(self.root / "CURRENT.json")
        return current["run_key"] if current else None

    def left_at(self, run_key: str) -> float:
        """When readers were last pointed from a run to another, in seconds since 1970; 0 if never."""
        path = self.root / "manifests" / f"{run_key}.left"
        return path.stat().st_mtime if path.exists() else 0

    def set_current(self, run_key: str) -> None:
        """Point readers to a published run, atomically."""
        if self.manifest(run_key) is None:
            known = ", ".join(self.published()) or "none"
            raise StoreError(
                f"run {run_key} is not published in {self.location}; published runs: {known}"
            )
        before = self.current()
        if before not in (None, run_key):
            (self.root / "manifests" / f"{before}.left").touch()
        link = self.root / f"{TEMPORARY}current"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("runs") / run_key)
        link.replace(self.root / "current")
        self.write_json(self.root / "CURRENT.json", {"run_key": run_key, "path": f"runs/{run_key}"})

    # ---- erased users

    def tombstones(self) -> list[dict[str, Any]]:
        """Erased users (see erasure.py), without their ids."""
        return (self._read_json(self.root / "erased.json") or {"users": []})["users"]

    def write_tombstones(self, users: list[dict[str, Any]]) -> None:
        """From here on these users count as erased."""
        self.write_json(self.root / "erased.json", {"users": users})

    def erasure_key(self) -> bytes:
        """The key of the tombstones' hashes, made for the first of them, for the store's owner only.

        Raises StoreError if there are tombstones and the key is gone.
        """
        path = self.root / "erased.key"
        if not path.exists():
            if self.tombstones():
                raise StoreError(
                    f"found tombstones of erased users but no {path}; put the key back from a backup"
                )
            temporary = path.with_name(TEMPORARY + path.name)
            temporary.unlink(missing_ok=True)
            with open(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:  # noqa: PTH123
                file.write(secrets.token_hex(32) + "\n")
            _sync(temporary)
            temporary.replace(path)
            _sync(self.root)
        return bytes.fromhex(path.read_text())

    def sweep(self) -> None:
        """Finish or undo what killed processes left half done. Only while no task is under way."""
        for path in [*self.root.rglob(f"{TEMPORARY}*"), *self.root.rglob(".spill")]:
            if path.is_relative_to(self.landing):
                continue  # what upstream is writing there
            target = path.with_name(path.name.removeprefix(f"{TEMPORARY}old-"))
            if path.name.startswith(f"{TEMPORARY}old-") and not target.exists():
                path.rename(target)  # stopped between the two renames of replace_folder
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.sweep_batches()

    def remove_run(self, run_key: str) -> None:
        """Remove a run's tables; its ratings, and the record of the files they came from, stay."""
        for suffix in ("json", "left"):
            (self.root / "manifests" / f"{run_key}.{suffix}").unlink(missing_ok=True)
        self.forget_outcomes(
            run_key,
            (
                path.stem
                for path in self.root.glob(f"tasks/{run_key}/*.json")
                if path.stem != "ingest"
            ),
        )
        shutil.rmtree(self.root / "runs" / run_key, ignore_errors=True)

    def add_to_catalogue(self, file: Path) -> None:
        """Keep a copy of a catalogue file, in the place of an earlier one of that name."""
        if not file.is_file():
            raise StoreError(f"found no file {file}, expected a catalogue of items")
        temporary = self.catalogue / f"{TEMPORARY}{file.name}"
        shutil.copyfile(file, temporary)
        temporary.replace(self.catalogue / file.name)

    # ---- writing

    @contextmanager
    def replace_folder(self, target: Path) -> Iterator[Path]:
        """A temporary folder to write into; on success it takes `target`'s place, on an error nothing changes."""
        target.parent.mkdir(parents=True, exist_ok=True)
        staging, old = (
            target.with_name(f"{TEMPORARY}{suffix}-{target.name}") for suffix in ("new", "old")
        )
        if old.exists() and not target.exists():  # stopped between the two renames below
            old.rename(target)
        for leftover in (staging, old):
            shutil.rmtree(leftover, ignore_errors=True)
        staging.mkdir()
        try:
            yield staging
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        for path in staging.rglob("*"):
            if path.is_file():
                _sync(path)
        if target.exists():
            target.rename(old)
        staging.rename(target)
        _sync(target.parent)
        shutil.rmtree(old, ignore_errors=True)

    @contextmanager
    def replace_file(self, target: Path) -> Iterator[Path]:
        """A temporary file to write; on success it takes `target`'s place at once, on an error nothing changes.

        It is beside no table: readers that take every file of a folder must not meet it.
        """
        temporary = self.root / f"{TEMPORARY}file-{secrets.token_hex(8)}"
        try:
            yield temporary
            _sync(temporary)
            temporary.replace(target)
            _sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def lock(
        self, task: str, run_key: str | None = None, needs: Collection[str] | None = None
    ) -> Iterator[None]:
        """Held by one process at a time; the system releases it when the process ends, however it ends.

        `needs` names the folders that are read or written within, for a store in a bucket, which
        downloads no others: "landing", "ratings", "rejected", or tables such as
        "runs/*/normalized", where `*` stands for the run `run_key`, the one published before it and
        the one that readers use, and "current/model" for the latter alone; "runs" are all tables of
        all runs. Records, catalogue, lists and tunings are always there. None: everything.
        """
        with (self.root / f".lock-{task}").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def fetch(self, *needs: str) -> None:
        """Within `lock`: have these folders here as well, named as in its `needs`."""

    def write_json(self, path: Path, content: dict[str, Any]) -> None:
        """Write a record in one step: a reader finds the old one or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(TEMPORARY + path.name)
        temporary.write_text(
            json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
            encoding="utf-8",
        )
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)

    def _remove_record(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def _read_json(self, path: Path) -> dict[str, Any] | None:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StoreError(f"{path} is not valid JSON: {error}") from None


def run_key_at(time: datetime) -> str:
    """The run key of a point in time; such keys sort by time."""
    return time.astimezone(UTC).strftime(RUN_TIME)


def run_time(run_key: str) -> datetime | None:
    """The point in time of a key that `run_key_at` made, None for any other."""
    try:
        return datetime.strptime(run_key, RUN_TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def check_run_key(run_key: str) -> str:
    """The run key itself. Raises SettingsError if it cannot name a folder."""
    if not RUN_KEY.fullmatch(run_key):
        raise SettingsError(
            f"found the run key {run_key!r}, expected 1 to 100 letters, digits, dots, hyphens or underscores, "
            "the first a letter or digit"
        )
    return run_key


def sha256(path: Path) -> str:
    """Hex digest of a file's content, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Force a file or folder to disk, so that a rename never precedes what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
