"""States of the fits of `train` in its run, `runs/<run_key>/checkpoint`, until the task has ended.

An attempt after a killed one goes on from them, also on another machine: a store in a bucket gets
each of them at once. They hold item factors, no users.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from cofi_jobs.model.checkpoints import FitState
from cofi_jobs.store import files, layout, parquet
from cofi_jobs.store.digests import files_in
from cofi_jobs.store.store import Store
from cofi_jobs.store.vectors import from_column, to_column

log = logging.getLogger(__name__)

TABLE = "checkpoint"
STATE, DIGEST = b"state", b"sha256"  # keys of the schema's metadata


class RunCheckpoints:
    """Makes the checkpoint of each fit of a run; at most one state in `seconds`, 0: none."""

    def __init__(self, store: Store, run_key: str, seconds: float) -> None:
        self.store, self.run_key, self.seconds = store, run_key, seconds
        # A state is of use to a fit of these very ratings alone.
        recorded = files_in(store.records, run_key, layout.table(run_key, "normalized"))
        digests = sorted((file.name, file.digest["sha256"]) for file in recorded)
        self.ratings = hashlib.sha256(repr(digests).encode()).hexdigest()[:16]

    def __call__(self, fit: str) -> "StoredCheckpoint":
        """The checkpoint of the fit of this name."""
        return StoredCheckpoint(self, f"{fit}-{self.ratings}.parquet")

    def clear(self) -> None:
        """Remove the states of all fits."""
        files.remove(self.store.table(self.run_key, TABLE))


class StoredCheckpoint:
    """The state of one fit in a file, as `model.checkpoints.Checkpoint`."""

    def __init__(self, run: RunCheckpoints, file: str) -> None:
        self.run, self.name = run, layout.table(run.run_key, f"{TABLE}/{file}")
        self.last = time.monotonic()

    @property
    def path(self) -> Path:
        """The file, which may not be there."""
        return self.run.store.path(self.name)

    def load(self) -> FitState | None:
        """The state that an earlier attempt kept; None, with a warning, if it cannot be read."""
        if not self.run.seconds or not self.path.exists():
            return None
        try:
            return from_table(parquet.read_table(self.path))
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            log.warning(
                "%s cannot be used, the fit starts from the beginning: %s",
                self.run.store.shown(self.path),
                error,
            )
            return None

    def save(self, state: Callable[[], FitState]) -> None:
        """Replace the state in the store, if the last one is older than the run's seconds."""
        if not self.run.seconds or time.monotonic() < self.last + self.run.seconds:
            return
        files.make_folder(self.path.parent)
        with self.run.store.replace_file(self.path) as target:
            parquet.write_table(to_table(state()), target)
        self.run.store.write_ahead(self.name)
        self.last = time.monotonic()


def to_table(state: FitState) -> pa.Table:
    """A state as a table of one row an item; what is not of the items is in its metadata."""
    of_items = {name: array for name, array in state.arrays.items() if np.ndim(array) == 2}
    others = {
        name: np.asarray(a).tolist() for name, a in state.arrays.items() if name not in of_items
    }
    rest = {
        "draw": state.draw,
        "losses": state.losses,
        "fixed_losses": [*state.fixed_losses.items()],
        "arrays": others,
    }
    content = json.dumps(rest).encode()
    table = pa.table({name: to_column(array) for name, array in of_items.items()})
    return table.replace_schema_metadata({STATE: content, DIGEST: _digest(content, of_items)})


def from_table(table: pa.Table) -> FitState:
    """The state of such a table. Raises ValueError or KeyError if it is not as it was written."""
    metadata = table.schema.metadata or {}
    content, of_items = metadata[STATE], {n: from_column(table[n]) for n in table.column_names}
    if metadata[DIGEST].decode() != _digest(content, of_items):
        raise ValueError("it is not as it was written")
    rest = json.loads(content)
    others = {name: np.array(value) for name, value in rest["arrays"].items()}
    losses, fixed_losses = rest["losses"], dict(rest["fixed_losses"])
    return FitState(rest["draw"], losses, fixed_losses, {**of_items, **others})


def _digest(content: bytes, of_items: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(content)
    for name, array in of_items.items():
        digest.update(f"{name} {array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
