"""The tasks of a run, their order, and what every task is wrapped in."""

import gc
import importlib
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cofi_jobs.core import machine
from cofi_jobs.core.credentials import given, hide
from cofi_jobs.core.errors import CofiError, StoreError
from cofi_jobs.model.keras_import import import_keras
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.batches import taken_digests
from cofi_jobs.store.files import sha256
from cofi_jobs.store.run_keys import check_run_key
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import FOLDERS, LEARNING, NEEDED, REPEATABLE, TASKS, following
from cofi_jobs.tuning import tuned

log = logging.getLogger(__name__)

# Lines that TensorFlow writes while it is imported, whatever its log level.
NOISE = re.compile(rb"absl::InitializeLog|cudart_stub\.cc")


def run_task(
    task: str, store: Store, settings: Settings, run_key: str, **inputs: Any
) -> dict[str, Any]:
    """Run one task of a run and record how it ended; returns its outcome, with the seconds that its work took.

    A task can be repeated under the same key until the run is published; from then on the run is never rewritten and
    the recorded outcome is returned. Raises StoreError if a task that comes before has not run.
    """
    check_run_key(run_key)
    secrets = given()
    if task == "ingest":
        store.create()
    elif not store.exists():
        raise StoreError(
            f"found no store in {store.location}, expected one in which ingest has run"
        )
    with store.lock(task, run_key, needs=("runs/*", *FOLDERS.get(task, ()))) as store:
        if store.manifest(run_key) is not None and task not in REPEATABLE:
            taken = taken_digests(store)
            for path in inputs.get("ratings", ()):
                if sha256(path) not in taken:
                    raise StoreError(
                        f"run {run_key} is published and never rewritten; give {path} to another run key"
                    )
            log.info("run %s is published already, %s has nothing to do", run_key, task)
            return store.outcome(run_key, task) or {}
        try:
            missing = [
                earlier for earlier in NEEDED[task] if store.outcome(run_key, earlier) is None
            ]
            if missing:
                raise StoreError(
                    f"{task} of run {run_key} needs the task {missing[0]} of the same run; run that first"
                )
            # From here on the tables of later tasks are out of date. The record of an earlier ingest stays, since it
            # says which files were taken.
            store.records.forget_outcomes(run_key, following(task) | ({task} - {"ingest"}))
            settings, from_file = tuned.in_use(store, settings, run_key, task)
            with _quiet_start(settings.device), _without_collecting():
                if task in LEARNING:
                    import_keras()
                module = importlib.import_module(
                    f"cofi_jobs.tasks.{task}"
                )  # here: TensorFlow takes seconds to import
            with machine.limited(settings.threads):
                if "tensorflow" in sys.modules:
                    from cofi_jobs.model import device  # here: it imports TensorFlow

                    device.set_up_tensorflow(settings.device)
                start = time.monotonic()
                outcome: dict[str, Any] = module.run(store, settings, run_key, **inputs)
        except Exception as error:
            failure = {
                "error": hide(str(error), secrets),
                "permanent": isinstance(error, CofiError),
            }
            store.records.write_failure(run_key, task, {**failure, **getattr(error, "record", {})})
            raise
        outcome |= {
            "settings": settings.model_dump(),
            "seconds": round(time.monotonic() - start, 3),
        }
        if task == "train":
            outcome["tuned"] = from_file  # the tasks after it go by this
        store.records.write_outcome(run_key, task, outcome)
        store.records.clear_failure(run_key, task)
        return outcome


def run_all(store: Store, settings: Settings, run_key: str, **inputs: Any) -> None:
    """Run all tasks of a run, in order; `inputs` are for ingest. A run that fails on the way still gets its report."""
    for task in TASKS:
        try:
            run_task(task, store, settings, run_key, **(inputs if task == "ingest" else {}))
        except Exception:
            unreported = task not in REPEATABLE and store.manifest(run_key) is None
            if unreported and all(store.outcome(run_key, needed) for needed in NEEDED["report"]):
                _report_failed_run(store, settings, run_key)
            raise


def _report_failed_run(store: Store, settings: Settings, run_key: str) -> None:
    try:
        run_task("report", store, settings, run_key)
    except Exception:
        log.exception(
            "the report of the failed run could not be written"
        )  # what failed the run counts


@contextmanager
def _quiet_start(device: str) -> Iterator[None]:
    """Hold back what is written to standard error meanwhile, then write it without the known noise."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault(
        "TF_ENABLE_ONEDNN_OPTS", "0"
    )  # same numbers on every processor, and no line about it
    if device == "cpu" or (device == "auto" and not any(Path("/dev").glob("nvidia*"))):
        os.environ.setdefault(
            "CUDA_VISIBLE_DEVICES", "-1"
        )  # do not look for a GPU, and do not complain
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held:
                if not NOISE.search(line):
                    os.write(2, line)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Do not look for garbage meanwhile: TensorFlow's import makes a million objects, and all of them stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
