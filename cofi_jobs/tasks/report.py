"""Report: the task that writes the page about a run."""

from typing import Any

from cofi_jobs.report import write
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Write `report/report.html` of a run; returns its path, its size and how many sections could not be made."""
    return write.run(store, settings, run_key)
