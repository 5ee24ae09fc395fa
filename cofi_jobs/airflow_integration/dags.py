"""What the DAGs share: the trigger form, and a task of CoFi as a task of Airflow."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow.sdk import Param, TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException

from cofi_jobs.airflow_integration import connections
from cofi_jobs.airflow_integration.child import run_in_child
from cofi_jobs.core.errors import CofiError
from cofi_jobs.settings.form import explicit_values, form_fields
from cofi_jobs.store.open import open_store
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import Task

log = logging.getLogger(__name__)

Context = Mapping[str, Any]

STORE = os.environ.get("COFI_STORE") or str(
    Path(os.environ.get("AIRFLOW_HOME", "."), "cofi-store").absolute()
)
STORE_IS = (
    f"Folder of the store, s3://<bucket>/<folder>, gs://..., or {connections.PREFIX}<id> for the "
    "Airflow connection that says where the store is."
)
# Compose makes a pool of one slot for training. The pool's name is no constant: Airflow never
# starts a task whose pool does not exist.
TRAIN_POOL = os.environ.get("COFI_TRAIN_POOL", "default_pool")
FIELDS = form_fields()


def form(*sections: str) -> dict[str, Param]:
    """The store and the settings of these sections, as a DAG's params."""
    return {
        "store": Param(STORE, type="string", minLength=1, section="store", description=STORE_IS),
        **{name: Param(**field) for name, field in FIELDS.items() if field["section"] in sections},
    }


def add_task(
    declared: Task, work: Callable[[Task, Context], dict[str, Any]], **options: Any
) -> Any:
    """A declared task as a task of the DAG that is being made; `work` runs it.

    `options` are those of Airflow's decorator, beside those that follow from the declaration.
    """

    def execute(**context: Any) -> dict[str, Any]:
        return work(declared, context)

    if declared.learns:
        options |= {"pool": TRAIN_POOL, "max_active_tis_per_dag": 1}
    if declared.of_failed_runs:
        options |= {"trigger_rule": TriggerRule.ALL_DONE_MIN_ONE_SUCCESS}
    return task(task_id=declared.name, doc_md=declared.note, **options)(execute)()


def run_task(
    declared: Task, context: Context, choose_run: Callable[[Store], str]
) -> tuple[str, dict[str, Any]]:
    """Run a task in a child process; returns the store's location and the outcome.

    `choose_run` gives the run key. What a retry cannot heal becomes an AirflowFailException.
    """
    params = context["params"]
    with our_errors_are_final():
        store, options = connections.resolve(params["store"])
        sources = connections.variables(declared, params)
        run_key = choose_run(open_store(store, options))
        settings = explicit_settings(context)
        return store, run_in_child(
            declared.name, store, settings, run_key, log.info, options, sources
        )


def explicit_settings(context: Context) -> dict[str, Any]:
    """The settings that somebody set for this run, in the form or by the API."""
    defaults = {name: FIELDS[name]["default"] for name in context["dag"].params if name in FIELDS}
    return explicit_values(context["dag_run"].conf or {}, defaults)


@contextmanager
def our_errors_are_final() -> Iterator[None]:
    """Fail the task for good on bad data, bad settings, diverged training or a refused run."""
    try:
        yield
    except CofiError as error:
        raise AirflowFailException(str(error)) from None


def counts(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers and words of an outcome, which Airflow keeps."""
    return {key: value for key, value in outcome.items() if isinstance(value, int | float | str)}
