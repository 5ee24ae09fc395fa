"""Memory: whatever is in a file, ingest stays within its limit, in a process of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cofi_jobs.store.store import Store
from tests.support.memory import LIMIT_MB, MORE_MB, ingest_alone

HEADER = "userId,movieId,rating,timestamp\n"


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
    ("make", "counts"),
    [
        (lambda path: lines(path, 2, "x\n", 500_000), (500_002, 2, 500_000)),
        (lambda path: lines(path, 2, '"x","y"\n', 300_000), (300_002, 2, 300_000)),
        (lambda path: lines(path, 2, "x\n1,2,3,4,5,6,7\n", 200_000), (400_002, 2, 400_000)),
        (lambda path: lines(path, 200_000, "a,b,c,d\n", 300_000), (500_000, 200_000, 300_000)),
        (
            lambda path: lines(path, 200_000, "1,1,9,1000000000\n", 300_000),
            (500_000, 200_000, 300_000),
        ),
        (long_line, (2, 1, 1)),
    ],
    ids=["short", "quoted", "mixed", "words", "outside the scale", "long"],
)
def test_ingest_stays_within_its_memory(
    make: Callable[[Path], None], counts: tuple[int, int, int], store: Store
) -> None:
    make(store.landing / "a.csv")
    given = ("max_rejected=1", "settle_seconds=0", "rating_low=1", "rating_high=5")
    ingested = ingest_alone(store.root, *given)
    assert (ingested.n_read, ingested.n_taken, ingested.n_rejected) == counts
    assert ingested.peak_kb < (LIMIT_MB + MORE_MB) * 1000
