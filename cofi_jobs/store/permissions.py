"""Who may read a store: what the job makes in it is closed to others than its owner and group."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from cofi_jobs.core.errors import SettingsError

VARIABLE = "COFI_UMASK"
DEFAULT = "027"  # folders 0750, files 0640: ratings, and what erased users left, are not for all


@contextmanager
def limited() -> Iterator[None]:
    """Within this, the process makes files and folders with the rights that the deployment wants.

    Raises SettingsError for a mask that is none. The mask is the process's: a process that changes
    stores does nothing else meanwhile.
    """
    before = os.umask(_mask(os.environ.get(VARIABLE) or DEFAULT))
    try:
        yield
    finally:
        os.umask(before)


def _mask(text: str) -> int:
    """The rights that are taken away. The owner's stay: the job needs them."""
    if not re.fullmatch("0{0,2}[0-7]{2}", text):
        raise SettingsError(
            f"found {text!r} in {VARIABLE}, expected the rights that group and others do not get, "
            "such as 027, 022 or 077"
        )
    return int(text, 8)
