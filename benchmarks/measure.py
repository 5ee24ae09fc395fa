"""What a command takes: seconds by the clock, and memory of its process with all that it starts."""

import platform
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

EVERY = 0.02  # seconds between two looks at the memory


@dataclass(frozen=True)
class Measured:
    """A command's wall-clock time, and the peak memory of its processes in MB (10^6 bytes)."""

    seconds: float
    peak_mb: float


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end. Raises RuntimeError with what it wrote if it fails.

    Memory is the resident set, pages of files that are mapped included, so it is never less than
    what must be there.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as child:
        peaks = [0]
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(psutil.Process(child.pid), done, peaks))
        watcher.start()
        try:
            assert child.stdout is not None
            output = child.stdout.read()
            code = child.wait()
        finally:
            seconds = time.perf_counter() - start
            done.set()
            watcher.join()
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {code}:\n{output}")
    return Measured(seconds, max(peaks) / 1e6)


def task_command(
    task: str,
    store: Path,
    run_key: str,
    settings: Mapping[str, object],
    ratings: Path | None = None,
) -> list[str]:
    """The command for one task of the job with these settings; `ratings` is a file for ingest."""
    command = [
        sys.executable,
        "-m",
        "cofi_jobs",
        task.replace("_", "-"),
        "--store",
        str(store),
        "--run-key",
        run_key,
    ]
    command += [f"--set={name}={value}" for name, value in settings.items()]
    return [*command, "--ratings", str(ratings)] if ratings else command


def machine() -> dict[str, str | int]:
    """What a figure depends on besides the code: processor, cores, memory, versions."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "processor": model,
        "cores": len(psutil.Process().cpu_affinity()),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": platform.platform(terse=True),
        "python": sys.version.split()[0],
        **{name: version(name) for name in ("duckdb", "keras", "numpy", "pyarrow", "tensorflow")},
    }


def _watch(root: psutil.Process, done: threading.Event, peaks: list[int]) -> None:
    while not done.wait(EVERY):
        total = 0
        try:
            for process in (root, *root.children(recursive=True)):
                total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        peaks.append(total)
