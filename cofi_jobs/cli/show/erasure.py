"""What an erasure left."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cofi_jobs.cli.show.tables import new_console
from cofi_jobs.core.errors import StoreError
from cofi_jobs.store.store import Store

if TYPE_CHECKING:
    from cofi_jobs.erasure.scan import Traces

SHOWN_NUMBERS = 20


def erased(store: Store, traces: "Traces") -> None:
    """Print where a scan looked for erased users. Raises StoreError naming files that hold one."""
    console = new_console()
    console.print(
        f"searched {traces.files} files of {store.location}, save catalogue/, lists/ and tune/"
    )
    for name in traces.skipped:
        console.print(
            f"not searched, as it is no text, cannot be read, or is a link out of the store: {name}"
        )
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
    if traces.unknown:
        console.print(_unknown(traces.unknown), soft_wrap=True)
    if traces.waiting:
        console.print("found no other trace")
    elif not traces.unknown:
        console.print("found no trace" + (" in what was searched" if traces.skipped else ""))


def _unknown(numbers: Sequence[int]) -> str:
    """The line on ids without a user here. It has no ids, which would stay in Airflow's log."""
    shown = ", ".join(map(str, numbers[:SHOWN_NUMBERS]))
    more = ", ..." if len(numbers) > SHOWN_NUMBERS else ""
    return (
        f"no user with {len(numbers)} of the ids (no. {shown}{more}) has a rating in this store or "
        "was erased from it before; check how they are written"
    )
