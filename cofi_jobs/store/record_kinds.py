"""The kinds of records: which files they are, what they must hold, what to do about a damaged one.

The advice says how to make a record again, where that is possible. All others need a backup.
"""

import functools
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pydantic import TypeAdapter

from cofi_jobs.store import layout, run_shapes
from cofi_jobs.store import record_shapes as shapes

BACKUP = "restore it from a backup"


@dataclass(frozen=True)
class Kind:
    """What pydantic checks of a record, and what a person can do about a damaged one."""

    shape: TypeAdapter[Any]
    advice: str


# Patterns of names, as in layout.py; of those that match a name, the first counts.
KINDS = {
    layout.PROPERTIES: Kind(TypeAdapter(shapes.Properties), BACKUP),
    layout.ORDER: Kind(
        TypeAdapter(shapes.Order),
        f"{BACKUP}; or, if the text of your run keys sorts by time, remove it",
    ),
    layout.COMPACTED: Kind(TypeAdapter(shapes.Compacted), BACKUP),
    layout.CURRENT: Kind(
        TypeAdapter(shapes.CurrentRun),
        "remove it, and `cofi rollback` writes it for the run you name",
    ),
    layout.TOMBSTONES: Kind(
        TypeAdapter(shapes.Tombstones), f"{BACKUP}; without it, erased users would come back"
    ),
    layout.TUNED: Kind(  # people write it, too, so tuning/tuned.py checks it and says more
        TypeAdapter(Any),
        'it must be {"settings": {"<name>": <value>}}; correct or remove it, and runs do without',
    ),
    layout.ALL_MANIFESTS: Kind(
        TypeAdapter(run_shapes.Manifest),
        f"{BACKUP}; `cofi rollback` gives readers another run meanwhile",
    ),
    layout.ALL_OUTCOMES_OF_INGEST: Kind(TypeAdapter(run_shapes.OutcomeOfIngest), BACKUP),
    layout.ALL_FAILURES: Kind(TypeAdapter(run_shapes.Failure), "remove it"),
    layout.ALL_OUTCOMES: Kind(
        TypeAdapter(run_shapes.Outcome),
        f"{BACKUP}; or, if the run is not published, remove it and run the task again",
    ),
    layout.LEASE: Kind(TypeAdapter(shapes.Lease), "remove it while no task works on the store"),
}


@functools.cache
def kind_of(name: str) -> Kind:
    """The kind of the record of this name. Raises KeyError for a file that is none."""
    for pattern, kind in KINDS.items():
        if fnmatchcase(name, pattern):
            return kind
    raise KeyError(name)
