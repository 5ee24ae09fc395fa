"""The first load and a nightly file on top of it, by size: time, memory, and how both grow.

Each size is a made-up CSV file (see synthetic.py) with a few bad rows. In turn, each step in a
process of its own: DuckDB's COPY of the file to Parquet, which is the least that could be done;
`ingest` and `normalize` of the file as the first run of a new store; `ingest` and `normalize` of a
smaller file in the next run.
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import numpy as np
import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured, machine, measure, task_command
from benchmarks.synthetic import ratings, write_csv
from cofi_jobs.settings.resolve import load_settings

USERS_PER_RATING, N_ITEMS, BAD = (
    480_000 / 100_000_000,
    17_800,
    1e-4,
)  # as the Netflix prize; share of bad rows
SETTINGS = {"rating_low": 0.5, "rating_high": 5}
NIGHTS = ("first", "nightly")
COPY = "COPY by DuckDB"
FOLDER = Path(tempfile.gettempdir()) / "cofi-ingest"
# Types are found by DuckDB; a row that does not fit is passed over, for we refuse it too.
COPY_SCRIPT = """
import sys, duckdb
with duckdb.connect() as connection:
    connection.execute(f"SET memory_limit = '{sys.argv[3]}MB'")
    connection.execute("SET enable_progress_bar = false")
    if int(sys.argv[4]):
        connection.execute(f"SET threads = {sys.argv[4]}")
    connection.execute(
        "COPY (FROM read_csv($source, store_rejects = true)) TO $target (FORMAT parquet, "
        "COMPRESSION zstd)",
        {"source": sys.argv[1], "target": sys.argv[2]},
    )
"""


def files(folder: Path, size: int, nightly: int) -> dict[str, Path]:
    """The two files of a size, made once: the first load, and newer ratings of the same users."""
    n_users = max(int(size * USERS_PER_RATING), 50)
    paths = {}
    for night, (name, n) in enumerate(zip(NIGHTS, (size, nightly), strict=True)):
        paths[name] = path = folder / f"{name}-{n}-of-{size}.csv"
        if not path.exists():
            partial = path.with_suffix(".part")
            write_csv(partial, ratings(n, n_users, N_ITEMS, night=night), bad=BAD)
            partial.rename(path)
        os.utime(path, (1e9, 1e9))  # long settled
    return paths


def copy(source: Path, target: Path) -> Measured:
    """DuckDB's COPY of a file to Parquet in its own process, with our memory and threads."""
    settings = load_settings()
    limits = str(settings.memory_limit_mb), str(settings.threads)
    return measure([sys.executable, "-c", COPY_SCRIPT, str(source), str(target), *limits])


def as_text(path: Path) -> Path:
    """The file with one more rating, whose quoted user makes ingest read the file as text."""
    quoted = path.with_name(f"{path.stem}-as-text.csv")
    with path.open("rb") as source, quoted.open("wb") as target:
        target.write(source.readline() + b'"1",1,4.0,1262304000\n')
        shutil.copyfileobj(source, target)
    return quoted


def run(
    folder: Path, size: int, nightly: int, repeats: int, text: bool = False
) -> dict[str, list[Measured]]:
    """All steps of one size, `repeats` times, COPY and ours in turn; `text`: files read as text."""
    source = files(folder, size, nightly)
    if text:
        source = {name: as_text(path) for name, path in source.items()}
    store, target = folder / "store", folder / "copy.parquet"

    def job(task: str, night: int) -> Measured:
        file = source[NIGHTS[night]] if task == "ingest" else None
        return measure(task_command(task, store, f"night-{night}", SETTINGS, file))

    measured_steps: dict[str, list[Measured]] = {}
    for _ in range(repeats):
        shutil.rmtree(store, ignore_errors=True)
        measured = {COPY: copy(source["first"], target)}
        for night, name in enumerate(NIGHTS):
            for task in ("ingest", "normalize"):
                measured[f"{task}, {name}"] = job(task, night)
        for step, each in measured.items():
            measured_steps.setdefault(step, []).append(each)
    shutil.rmtree(store)
    target.unlink()
    return measured_steps


def summarize(steps_by_size: dict[int, dict[str, list[Measured]]]) -> list[dict[str, Any]]:
    """A row for each step and size: median seconds, their ratio to COPY's, peak, growth of time.

    `growth` is the exponent e of seconds ~ ratings^e from the size before; 1 is linear.
    """
    rows = []
    sizes = sorted(steps_by_size)
    for step in steps_by_size[sizes[0]]:
        before: dict[str, Any] | None = None
        for size in sizes:
            each = steps_by_size[size][step]
            seconds = statistics.median(one.seconds for one in each)
            ratios = [
                one.seconds / copy.seconds
                for one, copy in zip(each, steps_by_size[size][COPY], strict=True)
            ]
            row: dict[str, Any] = {
                "step": step,
                "ratings": size,
                "seconds": seconds,
                "to_copy": statistics.median(ratios),
            }
            row |= {"peak_mb": max(one.peak_mb for one in each), "growth": None}
            if before is not None:
                row["growth"] = float(
                    np.log(seconds / before["seconds"]) / np.log(size / before["ratings"])
                )
            rows.append(row)
            before = row
    return rows


def plot(rows: list[dict[str, Any]], nightly: int, path: Path) -> None:
    """Seconds by ratings, both on logarithmic axes; a line for each step, and a linear one."""
    mpl.use("Agg")
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for step in dict.fromkeys(row["step"] for row in rows):
        rows_of_step = [row for row in rows if row["step"] == step]
        style = "k--" if step == COPY else "o-"
        axes.plot(
            [row["ratings"] for row in rows_of_step],
            [row["seconds"] for row in rows_of_step],
            style,
            label=step,
        )
    sizes = np.array(sorted({row["ratings"] for row in rows}), float)
    last = max(row["seconds"] for row in rows if row["ratings"] == sizes[-1])
    axes.plot(sizes, 1.5 * last * sizes / sizes[-1], ":", color="grey", label="linear, slope 1")
    axes.set(xscale="log", yscale="log", xlabel="ratings in the store", ylabel="seconds")
    axes.set_title(f"Time of the first load and of {nightly:,} ratings on top, by size")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main(
    sizes: Annotated[
        str, typer.Option(help="Ratings of the first load, by commas.")
    ] = "1000000,10000000,100000000",
    nightly: Annotated[int, typer.Option(help="Ratings of the second run.")] = 200_000,
    repeats: Annotated[
        int, typer.Option(help="How often all of it is measured; the median counts.")
    ] = 3,
    text: Annotated[
        bool, typer.Option("--as-text", help="Files that are no plain files of numbers.")
    ] = False,
    folder: Annotated[
        Path, typer.Option(help="Where data, store and figures go.", envvar="BENCHMARK_FOLDER")
    ] = FOLDER,
    image: Annotated[
        Path | None, typer.Option(help="Where the plot goes; beside the figures if left out.")
    ] = None,
) -> None:
    """Print seconds, their ratio to COPY's, peak memory and growth; also to ingest.json."""
    folder.mkdir(parents=True, exist_ok=True)
    steps_by_size = {
        int(size): run(folder, int(size), nightly, repeats, text) for size in sizes.split(",")
    }
    rows = summarize(steps_by_size)
    stands = machine()
    record = {"machine": stands, "nightly": nightly, "repeats": repeats, "steps": rows}
    (folder / "ingest.json").write_text(json.dumps(record, indent=2) + "\n")
    plot(rows, nightly, image or folder / "growth.png")
    table = Table(
        "step", *(f"{name}" for name in ("ratings", "seconds", "× COPY", "peak MB", "growth"))
    )
    for row in rows:
        growth = "" if row["growth"] is None else f"{row['growth']:.2f}"
        table.add_row(
            row["step"], f"{row['ratings']:,}", f"{row['seconds']:.1f}", f"{row['to_copy']:.2f}",
            f"{row['peak_mb']:,.0f}", growth, end_section=row["ratings"] == max(steps_by_size),
        )  # fmt: skip
    console = Console(width=100)
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in stands.items()))


if __name__ == "__main__":
    typer.run(main)
