"""`python -m torture`: attack the promises of docs/outputs.md; print one table."""

import argparse
import contextlib
import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import NoReturn

from cofi_jobs.core.machine import cores
from torture.attack import LIBRARY, compiler, environment
from torture.table import Result, Table

COUNTS = ("changes", "publications", "races", "inputs", "nights", "kills", "requests")


def main() -> int:
    """The exit code: 1 if a promise did not hold."""
    chosen = arguments()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have let its jobs ignore the first
        signal.signal(number, signal.default_int_handler)
    if LIBRARY not in os.environ:
        start_again()
    try:
        return attack(chosen)
    finally:
        gc.unfreeze()  # else DuckDB complains at the end
        shutil.rmtree(Path(os.environ[LIBRARY]).parent)


def start_again() -> NoReturn:
    """Be this command with the library preloaded."""
    command = compiler()
    if command is None:
        sys.exit(
            "found no C compiler, expected cc, gcc, clang or the package ziglang, "
            "which `make torture` installs"
        )
    variables = environment(command, Path(mkdtemp(prefix="torture-")))
    os.execve(sys.executable, [sys.executable, "-m", "torture", *sys.argv[1:]], variables)


def attack(chosen: argparse.Namespace) -> int:
    """Do what was asked for, and print the table; the exit code."""
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR")
    from torture import parts, warm  # here: they import TensorFlow, with the library

    warm.warm_up()
    size = parts.SHORT if chosen.short else parts.LONG
    if chosen.cases is not None:
        size = replace(size, **dict.fromkeys(COUNTS, chosen.cases))
    if chosen.steps:
        size = replace(size, steps=tuple(chosen.steps.split(",")))
    modes = tuple(chosen.modes.split(",")) if chosen.modes else tuple(parts.WORDS)
    table = Table(chosen.seed)
    # An attack that is interrupted may still write there.
    with TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder  # what killed processes leave goes, too
        attacks = parts.Attacks(
            size, chosen.seed, Path(folder), modes, chosen.at_once, chosen.every_write
        )
        with contextlib.suppress(KeyboardInterrupt):  # then the table has what there is so far
            if chosen.case:
                table.add(attacks.one(chosen.case))
            else:
                for name in chosen.only.split(",") if chosen.only else parts.PARTS:
                    for result in results(name, parts.PARTS[name](attacks)):
                        table.add(result)
                    table.end_part(name)
        return table.print()


def results(name: str, part: Iterator[Result]) -> Iterator[Result]:
    """What a part gives. If work fails that nobody attacks, the part ends; others go on."""
    try:
        yield from part
    except RuntimeError as error:
        yield Result(f"{name}: work without an attack", f"--only {name}", 1, (str(error),))


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a sample that takes a minute")
    parser.add_argument("--cases", type=int, help="so many cases of each kind")
    parser.add_argument("--only", help="parts: steps,readers,locks,fuzz,nights,buckets")
    parser.add_argument("--steps", help="attack only these steps, such as publish,erase")
    parser.add_argument("--modes", help="attack steps only so: kill,tear,EIO,ENOSPC,power,names")
    parser.add_argument(
        "--every-write",
        action="store_true",
        help="attack each write of a row to one file, not only the first and the last",
    )
    parser.add_argument("--at-once", type=int, default=cores(), help="cases beside each other")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn")
    parser.add_argument("--case", help="one case again, as it was printed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
