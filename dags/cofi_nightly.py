"""New ratings in, recommendations out: every user's list, every item's related items, as Parquet in the store.

| what | where |
|---|---|
| drop rating files | `landing/` of the store, any time; each counts once |
| read the lists | `current/recommendations`, `current/similar_items`, `current/popular_items` |
| set it up for one run | *Trigger*, then the sections of the form: the store, and a section for each task |
| build on it | schedule your DAG on the asset `cofi_recommendations` |

**If a run fails**, readers keep the lists of the last good run. Open the failed task: its log says what was found and
what was expected, its note what to do. Then clear the task, and the run goes on from there.
"""

import inspect
import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, Param, dag, task
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import AirflowFailException

from cofi_jobs import connection, lineage
from cofi_jobs.alerts import run_late, task_failed
from cofi_jobs.child import run_in_child
from cofi_jobs.errors import CofiError
from cofi_jobs.settings import form_fields
from cofi_jobs.store import run_key_at

log = logging.getLogger(__name__)

RECOMMENDATIONS = Asset("cofi_recommendations")
STORE = os.environ.get("COFI_STORE") or str(Path(os.environ.get("AIRFLOW_HOME", "."), "cofi-store").absolute())
STORE_IS = f"Folder of the store, or {connection.PREFIX}<id> for the Airflow connection that says where it is."
# Compose makes a pool of one slot for it. Not fixed: a task whose pool does not exist is never started.
TRAIN_POOL = os.environ.get("COFI_TRAIN_POOL", "default_pool")
# A run that takes longer is reported, and goes on. 0: never.
DEADLINE_MINUTES = float(os.environ.get("COFI_DEADLINE_MINUTES") or 180)
PARAMS = {
    "store": Param(STORE, type="string", minLength=1, section="store", description=STORE_IS),
    **{name: Param(**field) for name, field in form_fields().items()},
}


def note(function: Callable[..., Any]) -> Callable[..., Any]:
    """The docstring without its indentation, for the UI shows it as Markdown."""
    function.__doc__ = inspect.cleandoc(function.__doc__ or "")
    return function


def run(task_name: str, context: dict[str, Any]) -> dict[str, Any]:
    """Run a task in a child process; what is handed on is the run key and the counts."""
    params, run_key = dict(context["params"]), run_key_at(context["dag_run"].run_after)
    try:
        store, options = connection.resolve(params.pop("store"))
        outcome = run_in_child(task_name, store, params, run_key, log.info, options)
    except CofiError as error:  # bad data, bad settings, diverged training, a refusal: a retry cannot help
        raise AirflowFailException(str(error)) from None
    lineage.report(task_name, store)
    return {
        "run_key": run_key,
        **{key: value for key, value in outcome.items() if isinstance(value, int | float | str)},
    }


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    default_args={
        "retries": 2,  # the pause before the first is Airflow's setting core.default_task_retry_delay
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
    """One task for each module of cofi_jobs of the same name; a docstring is the note that the UI shows."""

    @task
    @note
    def ingest(**context: Any) -> dict[str, Any]:
        """Take new rating files from the landing folder.

        **Reads** new files in `landing/`. **Writes** `ratings/batch=<run>/`, and refused rows with their reasons into
        `rejected/batch=<run>/`.

        **If it fails**, a file could not be read, and nothing was taken. Repair or remove the file that the log names
        and clear the task. "found no ratings" is the first night with an empty landing folder.
        """
        return run("ingest", context)

    @task
    @note
    def normalize(**context: Any) -> dict[str, Any]:
        """Compute current ratings, item means and row numbers.

        **Reads** all batches up to this run's, and the titles in `catalogue/`. **Writes** `runs/<run>/normalized/`.

        **If it fails**, the log names the file of the catalogue that it could not read, or the disk was full. Clear the
        task once that is mended.
        """
        return run("normalize", context)

    @task(pool=TRAIN_POOL, max_active_tis_per_dag=1)
    @note
    def train(**context: Any) -> dict[str, Any]:
        """Learn both heads of the model, once to be measured and once to be used.

        **Reads** `normalized/`. **Writes** `trial/` and `model/`, and the losses of each epoch into `training/`.

        **If it fails** with "J is nan", lower the setting that the log names, in a new run's form. Ended with exit code
        -9, it needed more memory than there was: give it more, or lower `n_features`. Waiting as "scheduled", another
        training holds the pool.
        """
        return run("train", context)

    @task
    @note
    def similar_items(**context: Any) -> dict[str, Any]:
        """Write the similar items of each item.

        **Reads** `model/`. **Writes** `similar_items/`.

        **If it fails**, clear it: nothing was published.
        """
        return run("similar_items", context)

    @task
    @note
    def recommend(**context: Any) -> dict[str, Any]:
        """Write each user's recommendations.

        **Reads** `model/` and `normalized/`. **Writes** `recommendations/`, and `popular_items/` for new users.

        **If it fails** with too many users for `per-user`, choose `whole` in the form. Else clear it: nothing was
        published.
        """
        return run("recommend", context)

    @task
    @note
    def evaluate(**context: Any) -> dict[str, Any]:
        """Measure the model on held-out ratings; refuse a night that is worse than what it would replace.

        **Reads** `normalized/`, `trial/`, the number of rows of the lists, and the last published run's `trial/`.
        **Writes** `evaluation/`.

        **If it fails** with "not published", the gate refused the night: the log names the measure, its value and the
        bound. If the input is broken, repair it and run again. If the night is right after all, trigger a run with
        `force_publish`, or with the bound's setting changed.
        """
        return run("evaluate", context)

    @task(outlets=[RECOMMENDATIONS])
    @note
    def publish(**context: Any) -> dict[str, Any]:
        """Point readers to this run and tell downstream DAGs.

        **Reads** all tables of the run. **Writes** `manifests/<run>.json`, then `CURRENT.json` and `current`; updates
        the asset `cofi_recommendations`; removes old runs beyond `keep_runs` and erased users; merges old batches.

        **If it fails**, clear it; readers are on the old run or on the new one, never between. Bad lists are taken back
        by `python -m cofi_jobs rollback`.
        """
        outcome = run("publish", context)
        context["outlet_events"][RECOMMENDATIONS].extra = outcome
        return outcome

    ingest() >> normalize() >> train() >> [similar_items(), recommend()] >> evaluate() >> publish()


cofi_nightly()
