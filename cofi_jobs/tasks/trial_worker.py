"""How a worker of tune begins. This module imports nothing heavy, as `read_shard`."""

from typing import TYPE_CHECKING

from cofi_jobs.model.start import start_tensorflow
from cofi_jobs.tuning.parts import Part

if TYPE_CHECKING:
    from cofi_jobs.tuning.trials import TrialWorker


def trial_worker(device: str, part: Part) -> "TrialWorker":
    """The worker that fits to the ratings of this part."""
    start_tensorflow(device)
    from cofi_jobs.tuning.trials import TrialWorker

    return TrialWorker(part)
