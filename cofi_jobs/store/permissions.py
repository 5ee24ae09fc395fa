"""Who may read a store: what the job makes in it is closed to others than its owner and group."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cofi_jobs.core.errors import SettingsError

VARIABLE = "COFI_UMASK"
DEFAULT = "027"  # folders 0750, files 0640: ratings, and what erased users left, are not for all


class _Mask:
    """The process has one mask for all its threads.

    The first thread that changes a store sets it, the last one puts back what was there before.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._holders = 0
        self._before = 0

    def set(self, mask: int) -> None:
        with self._guard:
            if self._holders == 0:
                self._before = os.umask(mask)
            self._holders += 1

    def put_back(self) -> None:
        with self._guard:
            self._holders -= 1
            if self._holders == 0:
                os.umask(self._before)


_PROCESS = _Mask()


@contextmanager
def limited() -> Iterator[None]:
    """Within this, the process makes files and folders with the rights that the deployment wants.

    Raises SettingsError for a mask that is none. The mask is the process's: meanwhile it holds for
    whatever else the process makes.
    """
    _PROCESS.set(_mask(os.environ.get(VARIABLE) or DEFAULT))
    try:
        yield
    finally:
        _PROCESS.put_back()


def _mask(text: str) -> int:
    """The rights that are taken away. The owner's stay: the job needs them."""
    if not re.fullmatch("0{0,2}[0-7]{2}", text):
        raise SettingsError(
            f"found {text!r} in {VARIABLE}, expected the rights that group and others do not get, "
            "such as 027, 022 or 077"
        )
    return int(text, 8)
