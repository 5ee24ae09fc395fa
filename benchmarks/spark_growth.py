"""Spark's ALS on the ratings that `train` gets: what can be compared with it, and what cannot."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import contest

ITERATIONS = 10  # of a fit, Spark's default
MEMORY = "12g"  # what Java may take for what it holds
NOTE = f"""Spark is ALS of the same ratings, with as many factors and {ITERATIONS} iterations, its \
default.
Compare: "round s", in which all ratings are used once. Ours solves the rows of all users and
changes those of items step by step; Spark's iteration solves the rows of all users, then of items.
Do not compare: "train s". Ours makes four fits of two models, each with so many steps as it needs
for its lists; Spark's is reading and one fit. How good the factors are is not measured here:
`make bench` has seconds to equal errors."""


@dataclass(frozen=True)
class SparkFit:
    """Spark with so many threads on a run's ratings; None: it was stopped before."""

    ratings: int
    items: int
    threads: int
    limit: float  # seconds after which it was stopped
    ready: float | None  # seconds of its start and of reading
    fit: float | None  # seconds of a fit of ITERATIONS
    iteration: float | None
    java_mb: float | None  # peak

    @property
    def seconds(self) -> float:
        """Of all up to the end of the fit; the limit if it was stopped before."""
        return self.limit if self.ready is None or self.fit is None else self.ready + self.fit

    def cells(self, alone: float) -> list[str]:
        """What the table of all ways says; `alone` are the seconds of `train` in one process."""
        stopped = self.fit is None
        ready, iteration = (
            "" if seconds is None else f"{seconds:.1f}" for seconds in (self.ready, self.iteration)
        )
        java_mb = "" if self.java_mb is None else f"{self.java_mb:.0f}"
        return [
            f"{self.ratings:,}",
            f"{self.items:,}",
            f"Spark, {self.threads} thread{'s' * (self.threads > 1)}",
            f"{'> ' * stopped}{self.seconds:.1f}",
            f"{'> ' * stopped}{self.seconds / alone:.2f}",
            ready,
            "",
            "",
            iteration,
            "",
            java_mb,
            *("" for _ in range(4)),
        ]


def missing() -> str | None:
    """What Spark lacks here; None if it can run."""
    if not contest.PEERS.exists():
        return f"there is no {contest.PEERS.relative_to(contest.ROOT)}"
    return None if shutil.which("java") else "there is no Java"


def run(
    table: Path,
    output: Path,
    counts: Mapping[str, int],
    n_factors: int,
    n_threads: int,
    limit: float,
) -> SparkFit:
    """Fit normalized ratings, for at most so many seconds."""
    options = {"threads": n_threads, "n_factors": n_factors, "iterations": ITERATIONS}
    contest.run("spark_peers", "spark growth", table, output, limit, memory=MEMORY, **options)
    path = output / "figures.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    shutil.rmtree(output, ignore_errors=True)  # a JVM that was stopped may still be removing files
    figures = {name: kept.get(name) for name in ("ready", "fit", "iteration", "java_mb")}
    return SparkFit(counts["n_ratings"], counts["n_items"], n_threads, limit, **figures)
