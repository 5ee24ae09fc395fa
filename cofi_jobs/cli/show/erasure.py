"""What an erasure left."""

from typing import TYPE_CHECKING

from cofi_jobs.cli.show.tables import new_console
from cofi_jobs.core.errors import StoreError
from cofi_jobs.store.store import Store

if TYPE_CHECKING:
    from cofi_jobs.erasure.scan import Traces


def erased(store: Store, traces: "Traces") -> None:
    """Say where a scan looked for erased users. Raises StoreError naming files that hold one."""
    console = new_console()
    console.print(
        f"searched {traces.files} files of {store.location}, save catalogue/, lists/ and tune/"
    )
    for name in traces.skipped:
        console.print(f"not searched, as it is no text: {name}")
    for name in traces.waiting:
        console.print(f"found, gone with the next publication: {name}")
    if traces.delivered:
        console.print(
            "not searched: what deliver wrote into a database; the next delivery replaces all of "
            "it by the published lists as they are then (python -m cofi_jobs deliver)"
        )
    if traces.remaining:
        raise StoreError(
            f"found the users in {', '.join(traces.remaining)}; "
            "run erase again, or remove these files"
        )
    console.print("found no other trace" if traces.waiting else "found no trace")
