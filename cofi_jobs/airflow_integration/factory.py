"""The DAGs: one that recommends for each store, and those that tune, verify and erase.

Each function makes a DAG, which Airflow finds when it parses the file that calls the function. They
raise SettingsError, an import error of that file, for what cannot work.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetAlias
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference
from airflow.sdk.exceptions import AirflowSkipException

from cofi_jobs.airflow_integration import lineage
from cofi_jobs.airflow_integration.alerts import run_late
from cofi_jobs.airflow_integration.assets import claim, same_store, store_asset
from cofi_jobs.airflow_integration.dags import FIELDS, Context, Options, add_task, counts, run_task
from cofi_jobs.airflow_integration.erasing import erase_dag
from cofi_jobs.airflow_integration.making import STORE, checked, form, make_dag, task_options
from cofi_jobs.core.errors import SettingsError, StoreError
from cofi_jobs.store.run_keys import run_key_at
from cofi_jobs.store.status import latest_run
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import FINAL_TASK, Task, before, nightly
from cofi_jobs.tasks.registry import DECLARED, TUNE, VERIFY

__all__ = ["erase_dag", "recommender_dag", "tune_dag", "verify_dag"]

TASKS = nightly(DECLARED)
SECTIONS = tuple(dict.fromkeys(section for task in TASKS for section in task.sections))
# A run that takes longer is reported, and goes on. 0: never.
DEADLINE_MINUTES = float(os.environ.get("COFI_DEADLINE_MINUTES") or 180)
RECOMMENDER = """New ratings in, recommendations out: each user's list, each item's related items.

| what | where |
|---|---|
| drop rating files | `landing/` of the store, any time; each counts once |
| read the lists | `current/recommendations`, `current/similar_items`, `current/popular_items` |
| set it up for one run | *Trigger*, then the form: a section for the store and for each task |
| have the lists in PostgreSQL | `deliver_to` names an Airflow connection |
| build on it | schedule your DAG on the asset of the store, `Asset("file:///srv/books")` |

**If a run fails**, readers keep the lists of the last good run. Open the failed task: its
log says what was found and what was expected, its note what to do. Then clear the task, and the run
goes on from there.
"""
TUNER = """Searches for better settings on the ratings of the current run, for later runs.

| what | where |
|---|---|
| what it finds | `settings.json` of the store, which later runs use instead of defaults |
| tune now, or longer | *Trigger*, then the section *tune* of the form |
| do without | set `use_tuned` to false in the form of the recommender, or `COFI_USE_TUNED=false` |
| go back for good | remove `settings.json` |

**The first run with new settings** passes the gate like every run: if its model is worse than
the model that readers use, nothing is published, and the failed `evaluate` names the settings.
"""
VERIFIER = """Compares all files of the store with the SHA-256 in the records: disks lose bits.

A line of the log names each damaged file, and says what to do: repeat the task that made it, or
restore it from a backup. The last line counts files, bytes and damaged files. docs/operating.md
says more (*Damaged files*).
"""


def recommender_dag(
    dag_id: str,
    store: str = STORE,
    schedule: Any = "0 2 * * *",
    *,
    timezone: str | None = None,
    settings: Options | None = None,
    deadline_minutes: float = DEADLINE_MINUTES,
    assets: Sequence[Asset] = (),
    dag_options: Options | None = None,
    **tasks: Options,
) -> DAG:
    """The DAG that takes new ratings into a store and publishes lists.

    `store` is a folder, s3://<bucket>/<folder>, gs://... or connection:<id>. `schedule` is what
    airflow.sdk.DAG takes, a cron text in `timezone`. `settings` are defaults of the DAG's form, and
    count more than tuned ones. A run that takes longer than `deadline_minutes` is reported; 0:
    never. Publications in this store update `assets` too, besides the store's own. `dag_options`
    are further ones of airflow.sdk.DAG. Every other keyword names a task, and gives options of
    airflow.sdk.BaseOperator: train={"queue": "gpu", "execution_timeout": timedelta(hours=6)}.
    """
    _check_tasks(dag_id, tasks)
    defaults, alias = checked(settings, SECTIONS, dag_id), AssetAlias(dag_id)

    def run(task: Task, context: Context) -> dict[str, Any]:
        """Run a task in a child process; returns the run key and the counts."""
        if task.only_with and not context["params"][task.only_with]:
            raise AirflowSkipException(f"{task.only_with} is empty: there is nothing to do")
        run_key = run_key_at(context["dag_run"].run_after)
        location, outcome = run_task(task, context, lambda _: run_key, defaults)
        lineage.report(task, location, outcome)
        extra = {"run_key": run_key, **counts(outcome)}
        if task.name == FINAL_TASK and outcome["current"] == run_key:
            extra["store"] = location
            here = same_store(context["params"]["store"], store)
            for asset in (store_asset(location), *(assets if here else ())):
                context["outlet_events"][alias].add(asset, extra=extra)
        return extra

    with make_dag(
        dag_id,
        schedule=schedule,
        timezone=timezone,
        makes_up=True,
        params=form(store, SECTIONS, defaults),
        execution_timeout=timedelta(hours=2),
        options=dag_options,
        doc_md=RECOMMENDER,
        deadline=_deadline(deadline_minutes),
    ) as dag:
        assets_of: dict[str, Options] = {
            TASKS[0].name: {"inlets": [claim(dag, store)]},
            FINAL_TASK: {"outlets": [alias]},
        }
        operators = {}
        for task in TASKS:
            options = task_options(dag_id, task.name, tasks.get(task.name))
            operators[task.name] = add_task(task, run, options, **assets_of.get(task.name, {}))
            operators[task.name] << [operators[name] for name in before(DECLARED, task.name)]
    return dag


def _check_tasks(dag_id: str, tasks: Options) -> None:
    if unknown := tasks.keys() - {task.name for task in TASKS}:
        raise SettingsError(
            f"DAG {dag_id}: found options of the tasks {', '.join(sorted(unknown))}, expected some "
            f"of {', '.join(task.name for task in TASKS)}"
        )


def _deadline(minutes: float) -> DeadlineAlert | None:
    if not minutes:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=minutes),
        callback=AsyncCallback(run_late, kwargs={"minutes": minutes}),
    )


def tune_dag(
    dag_id: str,
    store: str = STORE,
    schedule: Any = "0 6 * * 0",
    *,
    timezone: str | None = None,
    settings: Options | None = None,
    dag_options: Options | None = None,
    tune: Options | None = None,
) -> DAG:
    """The DAG that searches for better settings for a store; arguments as of `recommender_dag`."""
    defaults = checked(settings, ("tune",), dag_id)
    minutes = defaults.get("tune_minutes", FIELDS["tune_minutes"]["default"])

    def current_run(opened: Store) -> str:
        current = opened.current()
        if current is None:
            raise StoreError(
                f"found no published run in {opened.location}, expected one to tune on; run the "
                "store's recommender first (cofi_nightly, unless you have DAGs of your own)"
            )
        return current

    def run(task: Task, context: Context) -> dict[str, Any]:
        return counts(run_task(task, context, current_run, defaults)[1])

    with make_dag(
        dag_id,
        schedule=schedule,
        timezone=timezone,
        params=form(store, ("tune",), defaults),
        # Besides the trials there are data to read and models to compare; a retry goes on with the
        # trials so far.
        execution_timeout=timedelta(hours=2, minutes=2 * minutes),
        options=dag_options,
        doc_md=TUNER,
    ) as dag:
        add_task(TUNE, run, task_options(dag_id, TUNE.name, tune))
    return dag


def verify_dag(
    dag_id: str,
    store: str = STORE,
    schedule: Any = "0 6 * * 6",
    *,
    timezone: str | None = None,
    dag_options: Options | None = None,
    verify: Options | None = None,
) -> DAG:
    """The DAG that compares files with their checksums; arguments as of `recommender_dag`."""

    def run(task: Task, context: Context) -> dict[str, Any]:
        return counts(run_task(task, context, latest_run)[1])

    with make_dag(
        dag_id,
        schedule=schedule,
        timezone=timezone,
        params=form(store),
        execution_timeout=timedelta(hours=4),
        options=dag_options,
        doc_md=VERIFIER,
    ) as dag:
        add_task(VERIFY, run, task_options(dag_id, VERIFY.name, verify))
    return dag
