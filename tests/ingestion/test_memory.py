"""Memory: whatever is in a file, ingest stays within its limit, in a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cofi_jobs.store.store import Store
from tests.support.repository import ROOT

LIMIT_MB, MORE_MB = 256, 300
HEADER = "userId,movieId,rating,timestamp\n"
INGEST = """
import sys
from cofi_jobs.core.errors import DataError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.memory import peak_mb

limits = load_settings(["memory_limit_mb=256", "threads=2", "max_rejected=1", "settle_seconds=0",
                        "rating_low=1", "rating_high=5"])
try:
    outcome = run_task("ingest", Store(sys.argv[1]), limits, "night-1")
    print(outcome["rows_read"], outcome["rows_taken"], outcome["rows_refused"])
except DataError as error:
    print(error)
print(peak_mb())
"""


def lines(path: Path, usual: int, line: str, n: int) -> None:
    with path.open("w") as file:
        file.write(HEADER)
        file.writelines(f"{n % 999},{n},{n % 5 + 1},1000000000\n" for n in range(usual))
        for _ in range(n // 1000):
            file.write(line * 1000)


def long_line(path: Path) -> None:
    with path.open("w") as file:
        file.write(HEADER + "1,10,4,1000000000\n2,20,3,")
        for _ in range(400):
            file.write("x" * 1_000_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: lines(path, 2, "x\n", 500_000), "500002 2 500000"),
        (lambda path: lines(path, 2, '"x","y"\n', 300_000), "300002 2 300000"),
        (lambda path: lines(path, 2, "x\n1,2,3,4,5,6,7\n", 200_000), "400002 2 400000"),
        (lambda path: lines(path, 200_000, "a,b,c,d\n", 300_000), "500000 200000 300000"),
        (lambda path: lines(path, 200_000, "1,1,9,1000000000\n", 300_000), "500000 200000 300000"),
        (long_line, "2 1 1"),
    ],
    ids=["short", "quoted", "mixed", "words", "outside the scale", "long"],
)
def test_ingest_stays_within_its_memory(
    make: Callable[[Path], None], said: str, store: Store
) -> None:
    make(store.landing / "a.csv")
    done = subprocess.run(
        [sys.executable, "-c", INGEST, str(store.root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    *counted, peak_mb = done.stdout.splitlines()
    assert counted == [said]
    assert int(peak_mb) < LIMIT_MB + MORE_MB
