"""Odd input: each ends well or with one clear sentence of ours, and what is accepted is right.

`python -m torture.fuzz <inputs> <seed> <folder> <store>` tries all targets. Where atheris is
installed, it looks for bytes that lead into branches not taken yet; else hypothesis draws them.
Bytes with a wrong answer are written into a folder for each target. The store has a published run,
whose files are damaged and repaired. A line for each target says how many inputs it was given.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from ctypes import c_ulong
from multiprocessing import RawValue
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

try:
    import atheris
except ImportError:
    atheris = None

with atheris.instrument_imports(include=["cofi_jobs"]) if atheris else contextlib.nullcontext():
    from torture.fuzz_targets import inputs_of, wrong

Attempt = Callable[[bytes], None]


def main(inputs: int, seed: int, folder: Path, published: Path) -> int:
    """Try each target in a process of its own, which has imported all; 1 if a fuzzer failed."""
    failed = 0
    for target, count in inputs_of(inputs).items():
        tried = RawValue(c_ulong)
        pid = os.fork()
        if pid == 0:
            _fuzz(target, count, seed, folder / target, published, tried)
            os._exit(0)
        failed += os.waitpid(pid, 0)[1] != 0
        print(target, tried.value)
    return int(failed > 0)


def _fuzz(target: str, count: int, seed: int, bad: Path, published: Path, tried: c_ulong) -> None:
    bad.mkdir(parents=True)

    def attempt(data: bytes) -> None:
        tried.value += 1
        text = wrong(target, data, published)
        if text:
            kind = text.split(":")[0].replace("/", "")[:60]
            (bad / kind).write_text(f"{data.hex()} {text}")

    (_with_atheris if atheris else _with_hypothesis)(attempt, count, seed)


def _with_atheris(attempt: Attempt, count: int, seed: int) -> None:
    options = [f"-runs={count}", f"-seed={seed + 1}", "-max_len=400"]
    options += ["-verbosity=0", "-print_final_stats=0"]
    atheris.Setup([sys.argv[0], *options], attempt)
    atheris.Fuzz()  # ends the process


def _with_hypothesis(attempt: Attempt, count: int, seed: int) -> None:
    given_bytes = given(st.binary(max_size=400))(attempt)
    chosen = settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=[*HealthCheck]
    )
    chosen(seeded(seed)(given_bytes))()


if __name__ == "__main__":
    with TemporaryDirectory() as place:
        os.chdir(place)
        sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])))
