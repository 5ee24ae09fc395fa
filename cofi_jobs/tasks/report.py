"""Report: the task that writes the page about a run."""

from typing import Any

from cofi_jobs.report.write import write_report
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Write `report/report.html`; returns its path, its size and how many sections are broken."""
    return write_report(store, settings, run_key, TASKS[: TASKS.index("report")])
