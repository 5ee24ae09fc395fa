"""Two folders change places in one step, where kernel and file system can do that."""

import ctypes
import functools
import os
from collections.abc import Callable
from pathlib import Path

# Of Linux's <fcntl.h> and <linux/fs.h>; see renameat2(2).
AT_FDCWD, RENAME_EXCHANGE = -100, 2


def exchange(first: Path, second: Path) -> bool:
    """Let two folders change places; False, and nothing is changed, where that cannot be done.

    Each name shows one of the two folders at any moment.
    """
    rename = _renameat2()
    if rename is None:
        return False
    paths = (os.fsencode(first), os.fsencode(second))
    return rename(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) == 0


@functools.cache
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    """The function of the C library, None where it has none."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = (
            *(ctypes.c_int, ctypes.c_char_p),
            *(ctypes.c_int, ctypes.c_char_p),
            ctypes.c_uint,
        )
    return function
