"""New ratings in, recommendations out: each user's list, each item's related items, as Parquet.

| what | where |
|---|---|
| drop rating files | `landing/` of the store, any time; each counts once |
| read the lists | `current/recommendations`, `current/similar_items`, `current/popular_items` |
| set it up for one run | *Trigger*, then the form: a section for the store and for each task |
| have the lists in PostgreSQL | `deliver_to` names an Airflow connection |
| build on it | schedule your DAG on the asset `cofi_recommendations` |

**If a run fails**, readers keep the lists of the last good run. Open the failed task: its
log says what was found and what was expected, its note what to do. Then clear the task, and the run
goes on from there.
"""

import os
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Asset, dag
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import AirflowSkipException

from cofi_jobs.airflow_integration import lineage
from cofi_jobs.airflow_integration.alerts import run_late, task_failed
from cofi_jobs.airflow_integration.dags import Context, add_task, counts, form, run_task
from cofi_jobs.store.run_keys import run_key_at
from cofi_jobs.tasks.declaration import Task, before, nightly
from cofi_jobs.tasks.registry import DECLARED

RECOMMENDATIONS = Asset("cofi_recommendations")
# A run that takes longer is reported, and goes on. 0: never.
DEADLINE_MINUTES = float(os.environ.get("COFI_DEADLINE_MINUTES") or 180)
TASKS = nightly(DECLARED)


def run(task: Task, context: Context) -> dict[str, Any]:
    """Run a task in a child process; returns the run key and the counts."""
    if task.only_with and not context["params"][task.only_with]:
        raise AirflowSkipException(f"{task.only_with} is empty: there is nothing to do")
    run_key = run_key_at(context["dag_run"].run_after)
    store, outcome = run_task(task, context, lambda _: run_key)
    lineage.report(task, store, outcome)
    return {"run_key": run_key, **counts(outcome)}


def publish(task: Task, context: Context) -> dict[str, Any]:
    """Run `publish` and tell downstream DAGs which run readers are on."""
    outcome = run(task, context)
    context["outlet_events"][RECOMMENDATIONS].extra = outcome
    return outcome


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params=form(*(section for task in TASKS for section in task.sections)),
    default_args={
        "retries": 2,  # the first after Airflow's setting core.default_task_retry_delay
        "retry_exponential_backoff": 2.0,
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": task_failed,
    },
    deadline=DeadlineAlert(
        name="nightly",
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=DEADLINE_MINUTES),
        callback=AsyncCallback(run_late, kwargs={"minutes": DEADLINE_MINUTES}),
    )
    if DEADLINE_MINUTES
    else None,
    tags=["cofi"],
    doc_md=__doc__,
)
def cofi_nightly() -> None:
    """One task for each declared task; its declaration says which tasks come before it."""
    made = {
        task.name: add_task(task, publish, outlets=[RECOMMENDATIONS])
        if task.name == "publish"
        else add_task(task, run)
        for task in TASKS
    }
    for task in TASKS:
        for earlier in before(DECLARED, task.name):
            made[earlier] >> made[task.name]


cofi_nightly()
