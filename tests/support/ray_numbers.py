"""Workers of a cluster that compute little.

Ray imports this module in each of them, so it must not import TensorFlow.
"""

import logging
import os
import time
from pathlib import Path

import numpy as np

from cofi_jobs.core import machine
from cofi_jobs.core.errors import DataError
from cofi_jobs.engine import on_ray
from cofi_jobs.settings.resolve import load_settings


class Numbers:
    """A worker with some numbers."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = np.array(numbers)
        logging.getLogger("numbers").info("made with %s", numbers)

    def times(self, factor: int, more: int) -> np.ndarray:
        return factor * self.numbers + more

    def threads(self) -> int:
        return machine.threads()

    def pid(self) -> int:
        return os.getpid()

    def fail(self) -> None:
        raise DataError("found a number, expected none")


def pairs(n: int) -> list[list[int]]:
    return [[1, 2], [3, 4], [5, 6]][:n]


def hold(address: str, file: str) -> None:
    """A task with workers, which does not end."""
    settings = load_settings(["engine=ray", f"ray_address={address}"])
    with on_ray.workers_for(settings, pairs, Numbers) as workers:
        partial = Path(f"{file}.partial")
        partial.write_text(" ".join(map(str, workers.each("pid"))))
        partial.rename(file)
        time.sleep(3600)
