"""The runs of a store: how they begin, and how old they are."""

import logging
import time
from collections.abc import Sequence

from cofi_jobs.store import files, layout
from cofi_jobs.store.order_record import change_order
from cofi_jobs.store.removal import half_removed
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.run_order import with_begun
from cofi_jobs.store.status import runs_begun
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

DAYS_TO_FINISH = 7  # a run that failed and was not touched for so long is given up


def begin(store: Store, run_key: str) -> None:
    """Give a run its place in the order of runs: the last one, unless it has taken ratings before.

    A key may name an earlier time than that of a run that began before: the run makes up for a past
    time, or a clock was ahead. The log then says what that means.
    """
    tables, batches = store.run_keys(), store.batches()
    # Its folder is there, its outcome is not: it was killed, or takes what was lost once more.
    has_batch = run_key in batches or store.ratings(run_key).exists()
    keeps_place = has_batch or run_key in (*tables, *store.published())
    older = {key: key in tables for key in (*batches, *runs_begun(store), *store.published())}
    runs = change_order(store, lambda runs: with_begun(runs, run_key, keeps_place, older))
    later = latest_before(run_key, [run["key"] for run in runs])
    if later and not keeps_place:
        log.info(
            "run %s is named by an earlier time than run %s, which began before it; runs are in "
            "the order in which they begin: this one reads all batches, its ratings count as "
            "arriving now, and it is published as the newest run",
            *(run_key, later),
        )


def latest_before(run_key: str, run_keys: Sequence[str]) -> str | None:
    """Of runs named by times the one of the latest time, if that is later than a run's own."""
    times = {key: time for key in run_keys if (time := run_time(key))}
    latest = max(times, key=times.__getitem__, default=run_key)
    return latest if run_key in times and times[latest] > times[run_key] else None


def under_way(store: Store) -> list[str]:
    """Runs that may still need their batches as they are, in order.

    They are not published, their removal has not begun, and they are not given up.
    """
    begun = [run["key"] for run in store.records.begun() if not run.get("removed")]
    keys = store.records.order().in_order([*begun, *store.run_keys()])
    ended = {*store.published(), *half_removed(store)}
    return [key for key in keys if key not in ended and not is_given_up(store, key)]


def is_given_up(store: Store, run_key: str) -> bool:
    """Whether no task of a run has ended, well or not, for DAYS_TO_FINISH days."""
    return last_change(store, run_key) < time.time() - DAYS_TO_FINISH * 86_400


def replaced_at(store: Store, run_key: str) -> float:
    """When readers were last pointed from a run to another, in seconds since 1970; 0 if never."""
    path = store.root / layout.replaced(run_key)
    return path.stat().st_mtime if path.exists() else 0


def correct_times_ahead(store: Store) -> None:
    """Let runs that readers have left at a time to come, by a clock that was ahead, be left now.

    Else they would be kept until then. Only within the lock "publish".
    """
    for key in store.run_keys():
        if replaced_at(store, key) > time.time():
            files.touch(store.root / layout.replaced(key))


def last_change(store: Store, run_key: str) -> float:
    """When a task of a run last ended, in seconds since 1970; 0 if none has."""
    records = store.root.glob(layout.records_of_tasks(run_key))
    return max((path.stat().st_mtime for path in records), default=0)
