"""Spark's night beside ours: ALS on all ratings, then recommendForAllUsers to Parquet, within a limit of time.

Spark has 10 iterations, its default, and our features, length of lists and threads. It masks nothing that users have
rated, holds nothing out and measures nothing. If it does not end in time, the table says how far it came.
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import contest
from benchmarks.ingest import FOLDER, files
from benchmarks.measure import machine


def main(
    size: Annotated[int, typer.Option(help="Ratings.")] = 100_000_000,
    minutes: Annotated[float, typer.Option(help="When Spark is stopped.")] = 20,
    folder: Annotated[Path, typer.Option(help="Where data and figures go.", envvar="BENCHMARK_FOLDER")] = FOLDER,
) -> None:
    """Print seconds from the start of Spark's session to the end of each step; also to spark_night.json."""
    folder.mkdir(parents=True, exist_ok=True)
    source, found = files(folder, size, nightly=200_000)["first"], folder / "spark-night"
    ended = contest.run("peers", "spark night", source, found, 60 * minutes)
    lines = [json.loads(line) for line in (found / "progress.jsonl").read_text().splitlines()]
    table = Table("Spark", "seconds", "rows")
    for line in lines:
        table.add_row(line["step"], f"{line['seconds']:.0f}", f"{line['rows']:,}")
    if not ended:
        table.add_row(f"stopped after {minutes:g} minutes", "", "")
    (folder / "spark_night.json").write_text(json.dumps({"machine": machine(), "size": size, "steps": lines}) + "\n")
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
