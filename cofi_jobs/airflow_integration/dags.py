"""A task of CoFi as a task of Airflow."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from airflow.sdk import TriggerRule, task
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from cofi_jobs.airflow_integration import STORE_KEY, connections
from cofi_jobs.airflow_integration.alerts import reason_of
from cofi_jobs.airflow_integration.child import run_in_child
from cofi_jobs.airflow_integration.child_log import ChildLog
from cofi_jobs.airflow_integration.ended_runs import handed_on_when_ended
from cofi_jobs.airflow_integration.scheduled import (
    skip_if_late,
    skip_if_superseded,
    skip_without_runs,
    skipped_without_ratings,
)
from cofi_jobs.core.errors import CofiError
from cofi_jobs.settings.form import check_names, explicit_values, form_fields
from cofi_jobs.store.open import open_store
from cofi_jobs.store.permissions import limited
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import Task

Context = Mapping[str, Any]
Options = Mapping[str, Any]  # those of a DAG or a task, as Airflow takes them

# Compose makes a pool of one slot for training. The pool's name is no constant: Airflow never
# starts a task whose pool does not exist.
TRAIN_POOL = os.environ.get("COFI_TRAIN_POOL", "default_pool")
FIELDS = form_fields()


def add_task(
    declared: Task,
    work: Callable[[Task, Context], dict[str, Any]],
    options: Options | None = None,
    **others: Any,
) -> Any:
    """A declared task as a task of the DAG that is being made; `work` runs it.

    `options` are those of the DAG's file, `others` follow from what the task is.
    """

    def execute(**context: Any) -> dict[str, Any]:
        return work(declared, context)

    if declared.learns:
        others |= {"pool": TRAIN_POOL, "max_active_tis_per_dag": 1}
    if declared.of_failed_runs:
        others |= {"trigger_rule": TriggerRule.ALL_DONE_MIN_ONE_SUCCESS}
    options = {"task_id": declared.name, "doc_md": declared.note, **others, **(options or {})}
    made = task(**options)(execute)()
    # Airflow gives each task a copy of the DAG's params, and checks all copies whenever it parses
    # the file. A run has them from the DAG.
    made.operator.params = ParamsDict.filter_params_by_source(made.operator.params, source="task")
    return made


def run_task(
    declared: Task,
    context: Context,
    choose_run: Callable[[Store], str],
    settings: Mapping[str, Any] | None = None,
) -> tuple[str, dict[str, Any]]:
    """Run a task in a child process; returns the store's location and the outcome.

    `choose_run` gives the run key. `settings` are those of the DAG's file: they count more than
    tuned ones, and less than those of the run. What a retry cannot repair becomes an
    AirflowFailException. A run that the schedule alone asks for is skipped (AirflowSkipException)
    if it has nothing to do.
    """
    params = context["params"]
    if not declared.of_every_night:
        skip_if_late(context)
    with our_errors_are_final():
        store, options = connections.resolve(params["store"])
        opened = open_store(store, options)
        if declared.begins_run:
            context["ti"].xcom_push(STORE_KEY, opened.location)
        if not declared.of_every_night:
            skip_without_runs(context, opened)
        run_key = choose_run(opened)
        with (
            skipped_without_ratings(context, opened, run_key, declared.name),
            handed_on_when_ended(context, opened, run_key, declared),
            recorded_failure(opened, run_key, declared.name),
        ):
            check_names(context["dag_run"].conf or {}, context["dag"].params)
            sources = connections.variables(declared, params)
            if declared.begins_run:
                skip_if_superseded(context, opened, run_key)
            explicit = {**(settings or {}), **explicit_settings(context, settings or {})}
            outcome = run_in_child(
                declared.name, store, explicit, run_key, ChildLog(), options, sources
            )
    return store, outcome


def explicit_settings(context: Context, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that somebody set for this run, in the form or by the API.

    `settings` are those of the DAG's file.
    """
    defaults = {
        name: settings.get(name, FIELDS[name]["default"])
        for name in context["dag"].params
        if name in FIELDS
    }
    return explicit_values(context["dag_run"].conf or {}, defaults)


@contextmanager
def recorded_failure(store: Store, run_key: str, task: str) -> Iterator[None]:
    """Record a failure that the task has not recorded itself, as when it is killed.

    The list of all runs then shows it, and not how an earlier attempt failed.
    """
    store.records.clear_failure(run_key, task)
    try:
        yield
    except AirflowSkipException:
        raise
    except BaseException as error:  # a time-out of Airflow is no Exception
        with suppress(Exception):  # the store may be what failed
            if store.exists() and store.failure(run_key, task) is None:
                failure = {"error": reason_of(error), "permanent": isinstance(error, CofiError)}
                with limited():
                    store.records.write_failure(run_key, task, failure)
        raise


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
