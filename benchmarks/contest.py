"""One process for each contestant: what it runs in and what it hands back.

Needs NumPy and PyArrow, which both environments have.

A contestant is a function of a folder with the data, a folder for its output, and its options.
It runs as `python -m benchmarks.<module> <name> <data> <output> <options as JSON>` with THREADS
threads.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
PEERS = ROOT / os.environ.get("PEERS_VENV", ".venv-peers") / "bin" / "python"
FOLDER = Path(tempfile.gettempdir()) / "cofi-bench"
THREADS, FEATURES, TOP_N = 2, 64, 20
OF_PEERS = (
    "peers",
    "quality_peers",
    "similar_items_peers",
    "spark_peers",
)  # modules that run in the peers' environment
# Who runs threads of its own: peers ask for a BLAS without, a task of the job has one.
OWN_THREADS = ("ours", "task", "implicit", "lenskit")
Contestant = Callable[[Path, Path, Mapping[str, Any]], None]


class Clock:
    """Seconds of a training so far; it stands still while `keep` writes what has been learned."""

    def __init__(self, output: Path) -> None:
        self.output, self.seconds, self.since = output, 0.0, time.perf_counter()

    def keep(self, epochs: int, **arrays: Any) -> None:
        """Write W, X, what is added to their product (`user`, `item`, `mean`), and the seconds."""
        self.seconds += time.perf_counter() - self.since
        partial = self.output / "partial.npz"
        np.savez(partial, seconds=self.seconds, epochs=epochs, **arrays)
        partial.rename(self.output / f"{epochs:03}.npz")  # whole, should the process be stopped
        self.since = time.perf_counter()


def timed(
    output: Path, run: Callable[[], tuple[np.ndarray, np.ndarray] | None], warm: Callable[[], Any]
) -> None:
    """Warm up, then run once; write the seconds, and the lists with scores if there are any."""
    warm()
    start = time.perf_counter()
    lists = run()
    seconds = time.perf_counter() - start
    (output / "seconds.json").write_text(json.dumps(seconds))
    if lists is not None:
        for name, values in zip(("items", "scores"), lists, strict=True):
            np.save(output / f"{name}.npy", values)


def joined(
    parts: Iterable[tuple[np.ndarray, np.ndarray]], output: Path, options: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """All lists in one, written as Parquet if that is asked for."""
    items, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    if options["write"]:
        n, k = items.shape
        rank = np.tile(np.arange(1, k + 1, dtype=np.int32), n)
        columns = {
            "id": np.repeat(np.arange(n), k),
            "rank": rank,
            "item_id": items.ravel().astype(np.int64),
        }
        table = pa.table({**columns, "score": scores.ravel()})
        pq.write_table(table, output / "lists.parquet", compression="zstd", row_group_size=20 << 10)
    return items, scores


def peak_mb(pid: int) -> float:
    """The most memory that a process has had, in MB (10^6 bytes)."""
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of packages in the peers' environment."""
    script = (
        "import sys, json, importlib.metadata as m; "
        "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
    )
    done = subprocess.run(
        [str(PEERS), "-c", script, *packages], check=True, capture_output=True, text=True
    )
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def main(contestants: Mapping[str, Contestant]) -> None:
    """Run the contestant that the command line names."""
    name, data, output, options = sys.argv[1:]
    contestants[name](Path(data), Path(output), json.loads(options))


def run(module: str, name: str, data: Path, output: Path, limit: float, **options: Any) -> bool:
    """Run a contestant in its environment; False if it was stopped at the limit of seconds.

    What it wrote until then is in the folder.

    Raises RuntimeError with what it wrote if it fails.
    """
    print(f"{name}, {data.name}", file=sys.stderr, flush=True)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    blas = 1 if name.partition(" ")[0] in OWN_THREADS else THREADS
    names = {"OMP_NUM_THREADS": THREADS, "OPENBLAS_NUM_THREADS": blas, "RAYON_NUM_THREADS": THREADS}
    environment = (
        os.environ
        | {key: str(value) for key, value in names.items()}
        | {"PYTHONWARNINGS": "ignore"}
    )
    python = PEERS if module in OF_PEERS else sys.executable
    command = [
        str(python),
        "-m",
        f"benchmarks.{module}",
        name,
        str(data),
        str(output),
        json.dumps(options),
    ]
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode:
        raise RuntimeError(f"{name} ended with exit code {done.returncode}:\n{done.stdout[-4000:]}")
    return True
