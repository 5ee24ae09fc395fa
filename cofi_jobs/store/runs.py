"""How old the runs of a store are, and their removal."""

import shutil

from cofi_jobs.store import layout
from cofi_jobs.store.store import Store


def replaced_at(store: Store, run_key: str) -> float:
    """When readers were last pointed from a run to another, in seconds since 1970; 0 if never."""
    path = store.root / layout.replaced(run_key)
    return path.stat().st_mtime if path.exists() else 0


def last_change(store: Store, run_key: str) -> float:
    """When a task of a run last ended, in seconds since 1970; 0 if none has."""
    records = store.root.glob(layout.records_of_tasks(run_key))
    return max((path.stat().st_mtime for path in records), default=0)


def remove_run(store: Store, run_key: str) -> None:
    """Remove a run's tables; its ratings, and the record of the files they came from, stay."""
    for name in (layout.manifest(run_key), layout.replaced(run_key)):
        (store.root / name).unlink(missing_ok=True)
    records = store.root.glob(layout.records_of_tasks(run_key))
    store.records.forget_outcomes(run_key, [path.stem for path in records if path.stem != "ingest"])
    shutil.rmtree(store.table(run_key, ""), ignore_errors=True)
