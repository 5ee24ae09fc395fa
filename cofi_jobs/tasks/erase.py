"""Erase: remove users from a store for good. No task of a run: it holds the locks of all tasks."""

from collections.abc import Sequence

from cofi_jobs.erasure import erase as erasure
from cofi_jobs.erasure.erase import look
from cofi_jobs.erasure.scan import Traces
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS

__all__ = ["erase", "look"]


def erase(store: Store, settings: Settings, user_ids: Sequence[str], now: bool = False) -> Traces:
    """Remove users from the store, from what readers see only with `now`, and search the store."""
    # publish comes before ingest: it holds its own lock when it takes that of ingest.
    return erasure.erase(store, settings, user_ids, ("deliver", *reversed(TASKS)), now)
