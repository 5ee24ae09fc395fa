"""What the DAGs share: the form, the notes of their tasks, and a task of the job as a task of Airflow."""

import inspect
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

from cofi_jobs.airflow_integration import connections as connection
from cofi_jobs.airflow_integration.child import run_in_child
from cofi_jobs.core.errors import CofiError
from cofi_jobs.settings.form import form_fields
from cofi_jobs.store.open import open_store
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

STORE = os.environ.get("COFI_STORE") or str(
    Path(os.environ.get("AIRFLOW_HOME", "."), "cofi-store").absolute()
)
STORE_IS = (
    f"Folder of the store, s3://<bucket>/<folder>, gs://..., or {connection.PREFIX}<id> for the Airflow connection "
    "that says where it is."
)
# Compose makes a pool of one slot for it. Not fixed: a task whose pool does not exist is never started.
TRAIN_POOL = os.environ.get("COFI_TRAIN_POOL", "default_pool")
FIELDS = form_fields()


def form(*sections: str) -> dict[str, Param]:
    """The store and the settings of some sections, as a DAG's params."""
    return {
        "store": Param(STORE, type="string", minLength=1, section="store", description=STORE_IS),
        **{name: Param(**field) for name, field in FIELDS.items() if field["section"] in sections},
    }


def told(params: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody changed: a form sends every param, most of them as they were."""
    return {name: value for name, value in params.items() if value != FIELDS[name]["default"]}


@contextmanager
def our_errors_are_final() -> Iterator[None]:
    """Fail the task for good on bad data, bad settings, diverged training or a refusal: a retry cannot help."""
    try:
        yield
    except CofiError as error:
        raise AirflowFailException(str(error)) from None


def note(function: Callable[..., Any]) -> Callable[..., Any]:
    """The docstring without its indentation, for the UI shows it as Markdown."""
    function.__doc__ = inspect.cleandoc(function.__doc__ or "")
    return function


def run_task(
    task: str, params: Mapping[str, Any], run_key: Callable[[Store], str]
) -> tuple[str, dict[str, Any]]:
    """Run a task in a child process; returns the store's location and the outcome.

    `run_key` gives the key, from that store. What a retry cannot heal becomes an AirflowFailException.
    """
    settings = dict(params)
    with our_errors_are_final():
        store, options = connection.resolve(settings.pop("store"))
        sources = connection.variables(task, settings)
        key = run_key(open_store(store, options))
        return store, run_in_child(task, store, told(settings), key, log.info, options, sources)


def counts(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """What of an outcome is handed on."""
    return {key: value for key, value in outcome.items() if isinstance(value, int | float | str)}
