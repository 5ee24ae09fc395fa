"""A whole run of a store."""

from typing import Any

from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_task


def run_night(
    store: Store, settings: Settings, run_key: str, report: bool = False, **inputs: Any
) -> dict[str, dict[str, Any]]:
    """All tasks of a run, as the command line runs them; the slow report only on request."""
    return {
        task: run_task(task, store, settings, run_key, **(inputs if task == "ingest" else {}))
        for task in TASKS
        if report or task != "report"
    }
