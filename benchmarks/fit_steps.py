"""What a step of training takes on workers, without what comes before and after.

A process of its own, for the peak memory of the task and of each worker. Prints JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import psutil
import pyarrow.parquet as pq
import typer

from benchmarks.contest import peak_mb
from cofi_jobs.core import machine
from cofi_jobs.core.factors import initial_factors
from cofi_jobs.model.checkpoints import NoCheckpoint
from cofi_jobs.model.fit import Fit
from cofi_jobs.model.objectives import ranking_objective
from cofi_jobs.model.start import start_tensorflow
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.run_ratings import run_ratings

FEW, MANY = 5, 25  # steps of two fits; their difference is that of steps alone


@dataclass(frozen=True)
class FitSteps:
    """Seconds and peak memory, in MB (10^6 bytes), of fits of the ranking model."""

    ready: float  # seconds until all workers have their ratings, with the start of a cluster
    step: float
    rows: float  # seconds to solve the rows of all users at the end
    task_mb: float
    worker_mb: float  # of the largest worker; 0 if the task does the work itself


def fit_steps(store: Path, run_key: str, settings: Mapping[str, object]) -> FitSteps:
    """Measure a run that is normalized, in a process of its own.

    Raises RuntimeError with what it wrote if it fails.
    """
    command = [sys.executable, "-m", "benchmarks.fit_steps", str(store), run_key]
    command += [f"--set={name}={value}" for name, value in settings.items()]
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return FitSteps(**json.loads(done.stdout.splitlines()[-1]))


def main(store: Path, run_key: str, setting: Annotated[list[str], typer.Option("--set")]) -> None:
    """Print the figures for a run that is normalized."""
    settings = load_settings(setting)
    opened, begun = Store(store), time.perf_counter()
    means = pq.read_table(opened.table(run_key, "normalized") / "items.parquet")["mean"]
    with machine.limited(settings.threads), run_ratings(opened, run_key, settings) as ratings:
        start_tensorflow(settings.device)
        data = ratings.learnable("all", means.to_numpy(), NoCheckpoint)
        ready = time.perf_counter() - begun
        objective = replace(ranking_objective(settings, data.scale), fixed_losses=0)
        start = initial_factors(data.sizes[0], 0, settings.n_factors, settings.seed)

        def fitted(steps: int) -> Fit:
            return data.fit(replace(objective, steps=steps), start, seed=0)

        first = fitted(1)  # traces, prepares
        few, many = (_seconds(partial(fitted, steps)) for steps in (FEW, MANY))
        rows = _seconds(lambda: [None for _ in first.rows()])
        here = psutil.Process()
        workers = [
            peak_mb(child.pid)
            for child in here.children(recursive=True)
            if child.name().startswith("ray::Worker")
        ]
        figures = FitSteps(
            ready, (many - few) / (MANY - FEW), rows, peak_mb(here.pid), max(workers, default=0)
        )
    print(json.dumps(asdict(figures)))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    typer.run(main)
