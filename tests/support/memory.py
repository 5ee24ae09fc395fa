"""Ingest in a process of its own, and the memory that it took."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.repository import ROOT

LIMIT_MB, MORE_MB = 256, 300  # what a process may have: DuckDB's limit, and the rest
# `ru_maxrss` would count the memory of the parent too.
INGEST = f"""
import sys
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task

settings = load_settings(["memory_limit_mb={LIMIT_MB}", "threads=2", *sys.argv[2:]])
outcome = run_task("ingest", Store(sys.argv[1]), settings, "night-1")
print(*(outcome[name] for name in ("rows_read", "rows_taken", "rows_refused")))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@dataclass(frozen=True)
class Ingested:
    """What became of the rows, and the most memory that the process had."""

    n_read: int
    n_taken: int
    n_rejected: int
    peak_kb: int


def ingest_alone(root: Path, *settings: str) -> Ingested:
    """Ingest what is in the landing folder of a store."""
    command = [sys.executable, "-c", INGEST, str(root), *settings]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Ingested(*map(int, done.stdout.split()))
