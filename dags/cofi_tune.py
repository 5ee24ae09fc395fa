"""Searches for better settings on the ratings of the current run, once a week, for later runs.

| what | where |
|---|---|
| what it finds | `settings.json` of the store, which `cofi_nightly` uses instead of defaults |
| tune now, or longer | *Trigger*, then the section *tune* of the form |
| do without | set `use_tuned` to false in the form of `cofi_nightly`, or `COFI_USE_TUNED=false` |
| go back for good | remove `settings.json` |

**The first run with new settings** passes the gate like every run: if its model is worse than
the model that readers use, nothing is published, and the failed `evaluate` names the settings.
"""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import dag

from cofi_jobs.airflow_integration.alerts import task_failed
from cofi_jobs.airflow_integration.dags import FIELDS, Context, add_task, counts, form, run_task
from cofi_jobs.core.errors import StoreError
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import Task
from cofi_jobs.tasks.registry import TUNE


def current_run(store: Store) -> str:
    """Key of the run that readers use. Raises StoreError if there is none."""
    current = store.current()
    if current is None:
        raise StoreError(
            f"found no published run in {store.location}, expected one to tune on; run "
            "cofi_nightly first"
        )
    return current


def run(task: Task, context: Context) -> dict[str, Any]:
    """Run the task in a child process; returns the counts."""
    _, outcome = run_task(task, context, current_run)
    return counts(outcome)


@dag(
    schedule="0 6 * * 0",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params=form("tune"),
    default_args={
        "retries": 2,
        "retry_exponential_backoff": 2.0,
        # Besides the trials there are data to read and models to compare; a retry goes on with the
        # trials so far.
        "execution_timeout": timedelta(hours=2, minutes=2 * FIELDS["tune_minutes"]["default"]),
        "on_failure_callback": task_failed,
    },
    tags=["cofi"],
    doc_md=__doc__,
)
def cofi_tune() -> None:
    """One task."""
    add_task(TUNE, run)


cofi_tune()
