"""What a search for settings learns from and measures on, of the tables of a run."""

from cofi_jobs.core.scale import scale_of
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.run_tables import read_times
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout import read_split
from cofi_jobs.tuning.parts import Part, parts


def read_parts(store: Store, settings: Settings, run_key: str) -> tuple[Part, Part]:
    """The part for the trials, and the part that no trial sees (`tuning.parts`).

    Raises DataError if there is nothing to learn from or to measure on.
    """
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    damping = store.required_outcome(run_key, "normalize")["settings"]["damping"]
    times = None
    if settings.test_days is not None:
        times = read_times(store.checked_table(run_key, "normalized"))
    return parts(*read_split(store, run_key, settings), times, settings, scale, damping)
