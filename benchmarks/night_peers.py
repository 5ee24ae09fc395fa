"""Peers of a first run on the same file: DuckDB's COPY for ingest, Spark for train and recommend.

COPY writes the file as Parquet, which is the least that could be done. Spark fits one ALS with 10
iterations, its default, and writes recommendForAllUsers; factors, length of lists and threads are
ours. Spark masks no rated items, has no test ratings, measures nothing, and is stopped after some
minutes.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks import contest
from benchmarks.ingest import copy

OF_SPARK = {"train": "Spark's reading{} and ALS", "recommend": "Spark's recommendForAllUsers"}


def run(folder: Path, file: Path, minutes: float) -> list[dict[str, Any]]:
    """A row for each step that a peer has reached: the peer, its seconds, whether it finished."""
    target, output = folder / "copy.parquet", folder / "spark-night"
    rows = [
        {
            "step": "ingest",
            "peer": "DuckDB's COPY",
            "seconds": copy(file, target).seconds,
            "ended": True,
        }
    ]
    target.unlink()
    contest.run("spark_peers", "spark night", file, output, 60 * minutes)
    ends = json.loads((output / "ends.json").read_text())
    shutil.rmtree(
        output, ignore_errors=True
    )  # where Spark was stopped, its JVM may still be removing files
    reading = (
        f" ({ends['read']:.0f} s)" if "read" in ends else ""
    )  # so that who is stopped shows how far it came
    begin = 0.0
    for step, peer in OF_SPARK.items():
        ended = step in ends
        end = ends.get(step, 60 * minutes)
        rows.append(
            {"step": step, "peer": peer.format(reading), "seconds": end - begin, "ended": ended}
        )
        if not ended:
            break
        begin = end
    return rows
