"""Removal of runs, so that the next process finishes a killed one.

The file `manifests/<run_key>.left` is there before anything of the run goes, and goes last. So a
run that has this file and no manifest is half removed: nothing of it counts any more. `publish`,
`erase` and a task of that run finish the removal. Only within the lock "publish". A file of that
name whose run never began was put there by a person, until a run of that key begins.
"""

import logging

from cofi_jobs.store import files, layout
from cofi_jobs.store.order_record import change_order
from cofi_jobs.store.run_order import with_removed
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


def remove_run(store: Store, run_key: str) -> bool:
    """Remove a run's tables; its ratings, and the record of the files they came from, stay.

    Returns False, with a warning, if the system refuses; then the run is half removed.
    """
    try:
        marker = store.path(layout.replaced(run_key))
        if not marker.exists():
            files.touch(marker)
        manifest = store.path(layout.manifest(run_key))
        files.remove(files.unfinished(manifest))  # it may show users who are erased
        files.remove(manifest)
        records = store.root.glob(layout.records_of_tasks(run_key))
        tasks = [path.stem for path in records if path.stem != "ingest"]
        store.records.forget_outcomes(run_key, tasks)
        files.remove(store.table(run_key, ""))
        change_order(store, lambda runs: with_removed(runs, run_key))
        files.remove(marker)
    except OSError as error:
        log.warning("run %s is not removed yet, publish and erase try again: %s", run_key, error)
        return False
    return True


def half_removed(store: Store, begins: str | None = None) -> list[str]:
    """Keys of the runs whose removal was begun and not finished; never the run that readers use.

    `begins` is the run that is about to begin, if any.
    """
    names = store.records.files.names(layout.ALL_REPLACED)
    marked = {*layout.run_keys_in(names, layout.REPLACED)} - {*store.published(), store.current()}
    if not marked:
        return []
    begun = {begins, *(run["key"] for run in store.records.begun())}
    return sorted(marked & begun.union(store.batches(), store.run_keys()))


def finish_removals(store: Store, begins: str | None = None) -> list[str]:
    """Finish the removals that were killed; returns the keys of the runs that are gone now."""
    return [key for key in half_removed(store, begins) if remove_run(store, key)]
