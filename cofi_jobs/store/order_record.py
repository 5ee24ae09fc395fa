"""Changes of order.json: which run comes before which (run_order.py)."""

from collections.abc import Callable

from cofi_jobs.store.run_order import BegunRun
from cofi_jobs.store.store import Store


def change_order(
    store: Store, change: Callable[[list[BegunRun]], list[BegunRun]]
) -> list[BegunRun]:
    """Change order.json, which tasks do that hold other locks; returns what is in it then."""
    with store.lock("order"):
        before = store.records.begun()
        after = change(before)
        if after != before:
            store.records.write_begun(after)
    return after
