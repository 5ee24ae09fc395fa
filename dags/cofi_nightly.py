"""New ratings in, recommendations out: every user's list, every item's related items, as Parquet in the store.

| what | where |
|---|---|
| drop rating files | `landing/` of the store, any time; each counts once |
| read the lists | `current/recommendations`, `current/similar_items`, `current/popular_items` |
| set it up for one run | *Trigger*, then the sections of the form: the store, and a section for each task |
| have the lists in PostgreSQL | `deliver_to` names an Airflow connection |
| build on it | schedule your DAG on the asset `cofi_recommendations` |

**If a run fails**, readers keep the lists of the last good run. Open the failed task: its log says what was found and
what was expected, its note what to do. Then clear the task, and the run goes on from there.
"""

import os
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Asset, TriggerRule, dag, task
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import AirflowSkipException

from cofi_jobs.airflow_integration import lineage
from cofi_jobs.airflow_integration.alerts import run_late, task_failed
from cofi_jobs.airflow_integration.dags import FIELDS, TRAIN_POOL, counts, form, note, run_task
from cofi_jobs.store.run_keys import run_key_at

RECOMMENDATIONS = Asset("cofi_recommendations")
# A run that takes longer is reported, and goes on. 0: never.
DEADLINE_MINUTES = float(os.environ.get("COFI_DEADLINE_MINUTES") or 180)
SECTIONS = {field["section"] for field in FIELDS.values()} - {"tune"}


def run(task_name: str, context: dict[str, Any]) -> dict[str, Any]:
    """Run a task in a child process; what is handed on is the run key and the counts."""
    run_key = run_key_at(context["dag_run"].run_after)
    store, outcome = run_task(task_name, context["params"], lambda _: run_key)
    lineage.report(task_name, store, outcome)
    return {"run_key": run_key, **counts(outcome)}


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params=form(*SECTIONS),
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
        """Take new rating files from the landing folder, and new rows of a query.

        **Reads** new files in `landing/`, and the database if there is a `source_query`. **Writes**
        `ratings/batch=<run>/`, and refused rows with their reasons into `rejected/batch=<run>/`.

        **If it fails**, a file or the query could not be read, and nothing was taken. Mend or remove what the log names
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
        """Learn both models, once to be measured and once to be used.

        **Reads** `normalized/`. **Writes** `trial/` and `model/`, and the losses of each step into `training/`.

        **If it fails** with "J is nan", lower the setting that the log names, in a new run's form. Ended with exit code
        -9, it needed more memory than there was: give it more, or lower `n_factors`. Waiting as "scheduled", another
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

    @task(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    @note
    def report(**context: Any) -> dict[str, Any]:
        """Write the page about the run: what came in, how good the model is, what it recommends.

        It opens as the tab *CoFi report* of the run, and from *CoFi* in the menu. A run that fails after
        `normalize` has one too, as far as it came: above all a night that the gate refused.

        **Reads** all tables of the run, and the evaluations of earlier ones. **Writes** `report/report.html`.

        **If it fails**, the disk was full or memory ran out: clear it. A plot that cannot be drawn does not fail it.
        """
        return run("report", context)

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

    @task
    @note
    def deliver(**context: Any) -> dict[str, Any]:
        """Write the lists into a PostgreSQL database, if `deliver_to` names its connection; else skipped.

        **Reads** the lists of the run that readers use. **Writes** the tables of the schema `deliver_schema`, all at
        once: services see yesterday's lists or today's.

        **If it fails**, services keep the lists that they have. The log says what the database said; mend it and clear
        the task.
        """
        if not context["params"]["deliver_to"]:
            raise AirflowSkipException("deliver_to is empty: the lists stay in files")
        return run("deliver", context)

    normalized, evaluated, published = normalize(), evaluate(), publish()
    (
        ingest()
        >> normalized
        >> train()
        >> [similar_items(), recommend()]
        >> evaluated
        >> published
        >> deliver()
    )
    # There is something to report once there are ratings, however the tasks after that end.
    [normalized, evaluated] >> report() >> published


cofi_nightly()
