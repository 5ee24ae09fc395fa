"""What every task is wrapped in: its lock, the check of what it needs, its settings, its record."""

import importlib
import logging
import sys
import time
from types import ModuleType
from typing import Any

from cofi_jobs.core import machine
from cofi_jobs.core.credentials import hide, secrets_in_environment
from cofi_jobs.core.errors import CofiError, StoreError
from cofi_jobs.model.keras_import import import_keras
from cofi_jobs.model.quiet_start import quiet_start
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.batches import check_all_taken
from cofi_jobs.store.digests import written
from cofi_jobs.store.removal import finish_removals, half_removed
from cofi_jobs.store.run_keys import check_run_key
from cofi_jobs.store.runs import begin
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.declaration import (
    Task,
    in_order,
    invalidated_by,
    required,
    runs_when_published,
)
from cofi_jobs.tasks.registry import DECLARED
from cofi_jobs.tuning import tuned

log = logging.getLogger(__name__)


def run_task(
    name: str, store: Store, settings: Settings, run_key: str, **inputs: Any
) -> dict[str, Any]:
    """Run one task of a run and record how it ended; returns its outcome.

    A task can be repeated under the same key until the run is published. From then on the run is
    never rewritten, and the recorded outcome is returned. Raises StoreError if a task that comes
    before has not run.
    """
    task = DECLARED[name]
    check_run_key(run_key)
    secrets = secrets_in_environment()
    if task.begins_run:
        store.create()
    elif not store.exists():
        raise StoreError(
            f"found no store in {store.location}, expected one in which ingest has run"
        )
    # Before the task's own lock: erase takes "publish" first.
    if run_key in half_removed(store, run_key):
        with store.lock("publish", run_key, needs=(), by=name) as locked:
            finish_removals(locked, run_key)
    with store.lock(name, run_key, needs=task.folders) as store:
        if store.manifest(run_key) is not None and not runs_when_published(DECLARED, name):
            check_all_taken(store, run_key, inputs.get("ratings", ()))
            log.info("run %s is published already, %s has nothing to do", run_key, name)
            return store.outcome(run_key, name) or {}
        try:
            outcome = _run(task, store, settings, run_key, inputs)
        except Exception as error:
            _record_failure(store, run_key, name, error, secrets)
            raise
        store.records.write_outcome(run_key, name, outcome)
        store.records.clear_failure(run_key, name)
        return outcome


def _record_failure(
    store: Store, run_key: str, task: str, error: Exception, secrets: dict[str, Any]
) -> None:
    if isinstance(error, CofiError):
        # Upstream knows the files of a bucket by their addresses, not by those of the copy.
        error.args = (str(error).replace(f"{store.root}/", f"{store.location}/"),)
    failure = {"error": hide(str(error), secrets), "permanent": isinstance(error, CofiError)}
    store.records.write_failure(run_key, task, {**failure, **getattr(error, "record", {})})


def run_all(store: Store, settings: Settings, run_key: str, **inputs: Any) -> None:
    """Run all tasks of a run, in order. A failed run still gets its report.

    `inputs` are for the task that begins the run.
    """
    for task in in_order(DECLARED):
        if not task.every_run:
            continue
        try:
            run_task(task.name, store, settings, run_key, **(inputs if task.begins_run else {}))
        except Exception:
            if store.manifest(run_key) is None:
                _finish_failed_run(store, settings, run_key, task)
            raise


def _run(
    task: Task, store: Store, settings: Settings, run_key: str, inputs: dict[str, Any]
) -> dict[str, Any]:
    """Do the work of a task; returns its outcome with settings and seconds."""
    if task.begins_run:
        begin(store, run_key)
    for earlier in required(DECLARED, task.name):
        if store.outcome(run_key, earlier) is None:
            raise StoreError(
                f"{task.name} of run {run_key} needs the task {earlier} of the same run; "
                "run that first"
            )
    # The tables of later tasks are out of date from here on. The record of an earlier ingest stays:
    # it says which files were accepted.
    outdated = invalidated_by(DECLARED, task.name)
    if not task.begins_run:
        outdated.add(task.name)
    store.records.forget_outcomes(run_key, outdated)
    module = _module(task, settings.device)
    with machine.limited(settings.threads):
        if "tensorflow" in sys.modules:
            from cofi_jobs.model import device  # here: it imports TensorFlow

            device.set_up_tensorflow(settings.device)
        machine.forget_peak_memory()
        start = time.monotonic()
        if task.prepares:
            module.prepare(store, settings, run_key)
        settings, from_file = tuned.in_use(store, settings, run_key, task.name)
        outcome: dict[str, Any] = module.run(store, settings, run_key, **inputs)
    outcome |= {"digests": written(store.root, run_key, task.writes)}
    outcome |= {"settings": settings.model_dump(), "seconds": round(time.monotonic() - start, 3)}
    outcome |= {"peak_memory_mb": machine.peak_memory_mb()}
    return outcome | tuned.to_outcome(task.name, from_file)


def _module(task: Task, device: str) -> ModuleType:
    """The module of a task, imported when it is needed: TensorFlow takes seconds."""
    with quiet_start(device):
        if task.learns:
            import_keras()
        return importlib.import_module(f"cofi_jobs.tasks.{task.name}")


def _finish_failed_run(store: Store, settings: Settings, run_key: str, failed: Task) -> None:
    """Run the tasks that failed runs need too, if their turn did not come before `failed`.

    If one fails as well, the first failure counts.
    """
    for task in in_order(DECLARED):
        if not task.of_failed_runs or task == failed or store.outcome(run_key, task.name):
            continue
        if all(store.outcome(run_key, earlier) for earlier in required(DECLARED, task.name)):
            try:
                run_task(task.name, store, settings, run_key)
            except Exception:
                log.exception("the %s of the failed run could not be written", task.name)
