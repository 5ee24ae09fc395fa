"""Fits to measure settings by, on workers: each has the ratings to fit to and to test on."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from cofi_jobs.core.errors import TrainingError
from cofi_jobs.engine.workers import Workers
from cofi_jobs.evaluation.metrics import Mean
from cofi_jobs.settings.fields import Settings
from cofi_jobs.tuning.measure import measure
from cofi_jobs.tuning.parts import Part
from cofi_jobs.tuning.space import ModelName


@dataclass(frozen=True)
class Measured:
    """The measures of a fit, None where learning failed, and the seconds that it took."""

    means: dict[str, Mean] | None
    seconds: float


class TrialWorker:
    """Fits one model after the other."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def measure(self, model: ModelName, settings: Settings | None) -> Measured | None:
        """A model measured with these settings; None if there are none for this worker."""
        if settings is None:
            return None
        start, means = time.monotonic(), None
        with suppress(TrainingError):
            means = measure(self.part, model, settings)
        return Measured(means, time.monotonic() - start)


def measure_each(
    workers: Workers, model: ModelName, settings: Sequence[Settings]
) -> list[Measured]:
    """A model measured with each of these settings, in their order; one at a time on a worker."""
    results: list[Measured] = []
    for first in range(0, len(settings), len(workers)):
        tried = settings[first : first + len(workers)]
        no_work = [None] * (len(workers) - len(tried))
        measured = workers.each("measure", model, parts=[*tried, *no_work])
        results += measured[: len(tried)]
    return results
