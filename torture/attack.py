"""An attack on the changes that this process makes to files below a folder.

mutations.c makes it, in a process that was started with that library preloaded. So every change
counts, whoever makes it: Python, DuckDB, Arrow or TensorFlow.
"""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from errno import EIO, ENOSPC
from pathlib import Path

LIBRARY = "TORTURE_LIBRARY"  # variable with the path of the library that is preloaded
COMPILERS = ("cc", "gcc", "clang")
MODES = {
    "count": 1,
    "kill": 2,
    "power": 2,
    "names": 2,
    "tear": 3,
    "EIO": 4,
    "ENOSPC": 5,
    "slow": 6,
}  # as mutations.c numbers them; a power cut is a kill, and power.py takes away what is lost then
CUTS = ("power", "names")  # of power: the machine dies, not only the process
ERRORS = {"EIO": EIO, "ENOSPC": ENOSPC}


@dataclass(frozen=True)
class Attack:
    """What happens at which change: 1 is the first. "slow" waits `ms` before each change.

    "kill": dead before the change. "tear": dead after half of a write. "EIO": the change fails.
    "ENOSPC": this and all later ones fail that need space. "power": dead, and what was not synced
    is lost. "names": the same, but names of files are never lost.
    """

    mode: str
    at: int = 0
    ms: int = 0


@dataclass(frozen=True)
class Change:
    """A change that was made: `kind` as in mutations.c, and the size of the file after it."""

    number: int
    kind: str
    path: str
    other: str
    size: int


def compiler() -> list[str] | None:
    """The C compiler: the machine's, else Zig's where its package is installed, else None."""
    for name in COMPILERS:
        if path := shutil.which(name):
            return [path]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    return None


def environment(command: list[str], folder: Path) -> Mapping[str, str]:
    """Variables for a process whose changes can be attacked; the library is made in `folder`."""
    library = folder / "mutations.so"
    source = Path(__file__).with_name("mutations.c")
    options = ["-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run([*command, *options], check=True)
    return {**os.environ, "LD_PRELOAD": str(library), LIBRARY: str(library)}


def arm(root: Path, attack: Attack, log: Path, kept: Path | None = None) -> None:
    """From now on the changes that this process makes below `root` are logged and attacked.

    `kept` is a folder for the content of files that are replaced or removed.
    """
    how = ERRORS.get(attack.mode, attack.ms * 1000)
    ctypes.CDLL(None).torture_arm(
        os.fsencode(root),
        os.fsencode(log),
        os.fsencode(kept) if kept else b"",
        MODES[attack.mode],
        ctypes.c_long(attack.at),
        ctypes.c_long(how),
    )


def changes(log: Path) -> list[Change]:
    """What was changed, in order."""
    lines = (line.split("\t") for line in log.read_text().splitlines())
    return [Change(int(n), kind, path, other, int(size)) for n, kind, path, other, size in lines]
