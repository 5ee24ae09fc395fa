"""What is to be moved between a bucket and its copy in a local folder. Pure: no file is touched.

Three states are compared: the files of the bucket, the files of the folder, and the files that were
the same in both when they were last compared (`Synced`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cofi_jobs.store import layout

# Folders that are downloaded only when a task needs them; all others are small.
ON_DEMAND = (layout.LANDING, layout.RATINGS, layout.REJECTED, layout.RUNS)
# Records are written one by one, after all data, in this order: what a record names is there before
# it. A folder stands for the records in it. Then follow the outcomes of publish, which end a run.
RECORDS = (
    layout.ERASURE_KEY,
    layout.PROPERTIES,
    layout.TUNED,
    layout.ORDER,
    layout.TASKS,
    layout.COMPACTED,
    layout.MANIFESTS,
    layout.CURRENT,
)
DATA, PUBLISHED = 0, len(RECORDS) + 1


@dataclass(frozen=True)
class Stamp:
    """What of a local file changes when the file does: bytes, nanoseconds since 1970, inode."""

    size: int
    modified: int
    inode: int


@dataclass(frozen=True)
class Synced:
    """A file that is the same in the bucket (this version) and in the folder (this stamp)."""

    version: str
    stamp: Stamp


@dataclass(frozen=True)
class Runs:
    """The runs that patterns such as "runs/*/model" and "current/model" stand for."""

    wildcard_runs: frozenset[str] | None  # runs that "*" stands for; None: all
    current: str | None  # None: nothing is published yet

    def covers(self, name: str, needs: Collection[str]) -> bool:
        """Whether a file lies in one of the folders that a task needs (see `Store.lock`)."""
        top, *rest = name.split("/")
        if top in needs or top != layout.RUNS:
            return top in needs
        run_key, table = layout.run_of(name), rest[1] if len(rest) > 2 else ""
        if not {f"{layout.RUNS}/*", f"{layout.RUNS}/*/{table}"}.isdisjoint(needs):
            return self.wildcard_runs is None or run_key in self.wildcard_runs
        return f"{layout.CURRENT_LINK}/{table}" in needs and run_key == self.current


@dataclass(frozen=True)
class Plan:
    """What is to be done in the bucket, in the order of the fields."""

    invalidate: tuple[str, ...] = ()  # outcomes whose tables are about to change: removed first
    upload: tuple[str, ...] = ()  # data, many at a time
    write: tuple[str, ...] = ()  # records, one after the other
    mark: tuple[str, ...] = ()  # markers of runs whose removal begins (removal.py): they are empty
    remove: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()  # the tombstones: an erasure has ended when they say so

    def __bool__(self) -> bool:
        return self != Plan()


def is_always_here(name: str) -> bool:
    """Whether a file is downloaded whatever a task needs: a record, a list, a catalogue."""
    return name.partition("/")[0] not in ON_DEMAND


def unchanged(
    local: Mapping[str, Stamp], remote: Mapping[str, str], index: Mapping[str, Synced]
) -> dict[str, Synced]:
    """The files that are still the same in both places. `remote` gives each file's version."""
    return {
        name: synced
        for name, synced in index.items()
        if local.get(name) == synced.stamp and remote.get(name) == synced.version
    }


def diff(
    local: Mapping[str, Stamp],
    remote: Collection[str],
    synced: Mapping[str, Synced],
    runs_here: Collection[str],
) -> Plan:
    """What makes the bucket equal to the folder.

    Of the bucket's files only those in `synced` were downloaded, so only they can have been removed
    here; and the files of runs whose folders are gone, which `runs_here` lists.
    """
    changed = [n for n, stamp in local.items() if n not in synced or synced[n].stamp != stamp]
    removed = [name for name in synced if name not in local]
    removed += [
        name for name in remote if name not in synced and _is_of_removed_run(name, runs_here)
    ]
    invalid = {n for n in (*changed, *removed) if n in remote and _is_outcome(n, remote)}
    records = [name for name in changed if rank(name) != DATA and name != layout.TOMBSTONES]
    mark = {layout.replaced(key) for key in layout.manifests_in(removed)} - {*remote, *local}
    return Plan(
        invalidate=tuple(sorted(invalid)),
        upload=tuple(sorted(name for name in changed if rank(name) == DATA)),
        write=tuple(sorted(records, key=lambda name: (rank(name), name))),
        mark=tuple(sorted(mark)),
        remove=tuple(sorted({*removed, *mark} - invalid, key=_when_removed)),
        finish=tuple(name for name in changed if name == layout.TOMBSTONES),
    )


def rank(name: str) -> int:
    """When a file is uploaded: data first, then records by their order in RECORDS."""
    if name.endswith("/publish.json") or name == layout.TOMBSTONES:
        return PUBLISHED
    top = name.partition("/")[0]
    return RECORDS.index(top) + 1 if top in RECORDS else DATA


def _when_removed(name: str) -> tuple[bool, int, str]:
    """Records before what they name; the marker of a removed run is last."""
    return name.endswith(layout.REPLACED), -rank(name), name


def _is_of_removed_run(name: str, runs_here: Collection[str]) -> bool:
    run_key = layout.run_of(name)
    return run_key is not None and run_key not in runs_here


def _is_outcome(name: str, remote: Collection[str]) -> bool:
    """Whether a record says that tables of an unpublished run count. Published runs stay."""
    if name.endswith(("/ingest.json", ".failed.json")):
        return False
    keys = layout.run_keys_in([name]) if layout.is_in(name, layout.TASKS) else []
    return any(layout.manifest(key) not in remote for key in keys)


def missing(
    remote: Iterable[str], here: Collection[str], needs: Collection[str] | None, runs: Runs
) -> list[str]:
    """Files of the bucket that a task needs and that are not here. Without `needs` it needs all."""
    return [
        name for name in remote if name not in here and (needs is None or runs.covers(name, needs))
    ]
