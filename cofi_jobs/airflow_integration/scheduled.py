"""Runs that only the schedule asks for, and that have nothing to do: they end as skipped.

The log then has one line that says why. A run that a user asks for, by the form, the API, a
backfill or by clearing tasks, is never skipped.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from cofi_jobs.core.errors import NoInputError
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.runs import latest_before
from cofi_jobs.store.store import Store

LATE = timedelta(hours=1)  # the scheduler may have been busy for so long, or restarted


def is_scheduled(context: Mapping[str, Any]) -> bool:
    """Whether the schedule alone asks for the run."""
    run = context["dag_run"]
    return run.run_type == "scheduled" and not run.clear_number


def skip_if_late(context: Mapping[str, Any]) -> None:
    """Skip a run whose time has passed, as when its DAG is unpaused days later."""
    run = context["dag_run"]
    if is_scheduled(context) and run.start_date - run.run_after > LATE:
        raise AirflowSkipException(
            f"this run is of {run.run_after:%Y-%m-%d %H:%M %Z}, when the DAG was paused or Airflow "
            "did not run; the next one comes as scheduled, or trigger the DAG"
        )


def skip_without_runs(context: Mapping[str, Any], store: Store) -> None:
    """Skip a run on a store in which no run has taken ratings yet."""
    if is_scheduled(context) and not store.batches() and not store.published():
        raise AirflowSkipException(f"found no run in {store.location}: there is nothing to do yet")


def skip_if_superseded(context: Mapping[str, Any], store: Store, run_key: str) -> None:
    """Skip a run if one of a later time is published, unless it has begun already."""
    if not is_scheduled(context):
        return
    if run_key in {*store.batches(), *(run["key"] for run in store.records.begun())}:
        return
    now = datetime.now(UTC)  # the clock may have been ahead when a run got its key
    published = [key for key in store.published() if (run_time(key) or now) < now]
    if newer := latest_before(run_key, [*published, run_key]):
        raise AirflowSkipException(
            f"run {newer} is published, which is newer than this run of {run_key}; what is new in "
            "landing/ is for the next run"
        )


@contextmanager
def skipped_without_ratings(
    context: Mapping[str, Any], store: Store, run_key: str, task: str
) -> Iterator[None]:
    """Skip a run whose task finds no ratings at all; then the task has not failed."""
    try:
        yield
    except NoInputError as error:
        if not is_scheduled(context):
            raise
        store.records.clear_failure(run_key, task)
        raise AirflowSkipException(str(error)) from None
