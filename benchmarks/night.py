"""Whole runs through the command line, by size: each step's time, memory and cost of starting.

For each size, the first run of a new store loads made-up ratings (see ingest.py). A second run
brings new ratings of the same users and items and starts from the first run's model. Each step has
its own process. The benchmark fails where a step needs more memory than memory.py says. If asked
for, peers do what they can of the first run with the same file: DuckDB copies it to Parquet, Spark
fits its ALS and writes lists (night_peers.py).
"""

import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import numpy as np
import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Column, Table

from benchmarks import contest, night_peers
from benchmarks.ingest import NIGHTS, SETTINGS, files
from benchmarks.measure import machine, measure, task_command
from benchmarks.memory import Size, peaks
from cofi_jobs.core.machine import cores
from cofi_jobs.store.open import open_store
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS

# Whatever the gate says of made-up ratings, the run goes on.
FORCED = {**SETTINGS, "force_publish": True}
ALL = "all"
TOLERANCE = 1.2  # a measured peak by that of the formula
FOLDER = Path(tempfile.gettempdir()) / "cofi-night"


def run(folder: Path, source: dict[str, Path]) -> list[dict[str, Any]]:
    """Both runs in a new store: each step's seconds, those outside its work, and its peak.

    A run without a file in `source` finds no new ratings.
    """
    place = folder / "store"
    shutil.rmtree(place, ignore_errors=True)
    store = open_store(str(place))
    rows = []
    for night in NIGHTS:
        steps = [_step(store, task, night, source.get(night)) for task in TASKS]
        size = _size(store, night)
        rows += [
            {**row, "formula_mb": peaks(size)[row["step"]], "size": asdict(size)} for row in steps
        ]
    shutil.rmtree(place)
    return rows


def exceeded(rows: list[dict[str, Any]]) -> list[str]:
    """What is wrong with each step whose peak is more than a fifth above the formula's."""
    return [
        f"{row['step']}, {row['night']} run of {row['ratings']:,} ratings: found a peak of "
        f"{row['peak_mb']:,.0f} MB, expected at most {TOLERANCE:g} times the "
        f"{row['formula_mb']:,.0f} MB of the formula"
        for row in rows
        if row["step"] != ALL and row["peak_mb"] > TOLERANCE * row["formula_mb"]
    ]


def _key(night: str) -> str:
    return f"night-{NIGHTS.index(night)}"


def _size(store: Store, night: str) -> Size:
    key = _key(night)
    counts = {night: store.outcome(_key(night), "normalize") or {} for night in NIGHTS}
    used = store.required_outcome(key, "train")["settings"]
    now = counts[night]
    return Size(
        ratings=now["n_ratings"],
        read=store.required_outcome(key, "ingest")["rows_read"],
        earlier=counts[NIGHTS[0]]["n_ratings"] if night != NIGHTS[0] else 0,
        users=now["n_users"],
        items=now["n_items"],
        n_factors=used["n_factors"],
        threads=used["threads"] or cores(),
        memory_limit_mb=used["memory_limit_mb"],
    )


def _step(store: Store, task: str, night: str, file: Path | None) -> dict[str, Any]:
    key = _key(night)
    measured = measure(
        task_command(task, store.root, key, FORCED, file if task == "ingest" else None)
    )
    overhead = measured.seconds - store.required_outcome(key, task)["seconds"]
    return {
        "step": task,
        "night": night,
        "seconds": measured.seconds,
        "overhead": overhead,
        "peak_mb": measured.peak_mb,
    }


def summarize(steps_by_size: dict[int, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of all sizes, and those of whole nights: seconds added up, the highest peak.

    `growth` is the exponent e of seconds ~ ratings^e from the size before; 1 is linear.
    """
    rows: list[dict[str, Any]] = []
    before: dict[tuple[str, str], dict[str, Any]] = {}
    for size, steps in sorted(steps_by_size.items()):
        for night in NIGHTS:
            rows_of_run = [row for row in steps if row["night"] == night]
            whole = {"step": ALL, "night": night}
            whole |= {
                name: max(row[name] for row in rows_of_run) for name in ("peak_mb", "formula_mb")
            }
            whole |= {
                name: sum(row[name] for row in rows_of_run) for name in ("seconds", "overhead")
            }
            for row in (*rows_of_run, whole):
                earlier = before.get((row["step"], night))
                growth = None
                if earlier:
                    growth = float(
                        np.log(row["seconds"] / earlier["seconds"])
                        / np.log(size / earlier["ratings"])
                    )
                before[row["step"], night] = complete = {**row, "ratings": size, "growth": growth}
                rows.append(complete)
    return rows


def tabulate(rows: list[dict[str, Any]], peers: list[dict[str, Any]]) -> Table:
    """The rows as one table, both runs of a step beside each other, its peer beside the first."""
    table = Table(Column("step", no_wrap=True), Column("ratings", justify="right"))
    for night in NIGHTS:
        for name in ("s", "start", "MB", "× formula", "growth"):
            table.add_column(f"{night}\n{name}", justify="right", no_wrap=True)
    if peers:
        table.add_column("peer of the first", no_wrap=True)
        for name in ("its s", "ratio"):
            table.add_column(name, justify="right", no_wrap=True)
    of = {(row["step"], row["ratings"], row["night"]): row for row in rows}
    peer_of = {(peer["step"], peer["ratings"]): peer for peer in peers}
    sizes = sorted({row["ratings"] for row in rows})
    for step in dict.fromkeys(row["step"] for row in rows):
        for size in sizes:
            cells = [step if size == sizes[0] else "", f"{size:,}"]
            for night in NIGHTS:
                row = of[step, size, night]
                growth = "" if row["growth"] is None else f"{row['growth']:.2f}"
                cells += [
                    f"{row['seconds']:.1f}",
                    f"{row['overhead']:.1f}",
                    f"{row['peak_mb']:,.0f}",
                ]
                cells += [f"{row['peak_mb'] / row['formula_mb']:.2f}", growth]
            if peer := peer_of.get((step, size)):
                ratio = f"{of[step, size, NIGHTS[0]]['seconds'] / peer['seconds']:.2f}"
                least, most = ("", "") if peer["ended"] else ("> ", "< ")
                cells += [peer["peer"], f"{least}{peer['seconds']:,.1f}", most + ratio]
            table.add_row(*cells, end_section=len(sizes) > 1 and size == sizes[-1])
    return table


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds by ratings, both on logarithmic axes, a panel for each night, each step its line."""
    mpl.use("Agg")
    figure = Figure(figsize=(11, 5), layout="constrained")
    panels = figure.subplots(1, len(NIGHTS), sharey=True)
    sizes = np.array(sorted({row["ratings"] for row in rows}), float)
    for axes, night in zip(panels, NIGHTS, strict=True):
        for step in (*TASKS, ALL):
            rows_of_step = [row for row in rows if (row["step"], row["night"]) == (step, night)]
            style = "k--" if step == ALL else "o-"
            axes.plot(
                [row["ratings"] for row in rows_of_step],
                [row["seconds"] for row in rows_of_step],
                style,
                label=step,
            )
        axes.plot(
            sizes,
            1.5 * rows_of_step[-1]["seconds"] * sizes / sizes[-1],
            ":",
            color="grey",
            label="linear, slope 1",
        )
        axes.set(xscale="log", yscale="log", xlabel="ratings", title=f"{night} run")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("seconds")
    panels[-1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120)


def main(
    sizes: Annotated[str, typer.Option(help="Ratings of the first night, by commas.")] = "1000000",
    nightly: Annotated[int, typer.Option(help="New ratings of the second night.")] = 200_000,
    ratings: Annotated[
        Path | None,
        typer.Option(help="A file for the first night instead; the second finds nothing new."),
    ] = None,
    folder: Annotated[
        Path, typer.Option(help="Where data, store and figures go.", envvar="BENCHMARK_FOLDER")
    ] = FOLDER,
    image: Annotated[
        Path | None, typer.Option(help="Where the plot goes; beside the figures if left out.")
    ] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="DuckDB's COPY and Spark beside the first night.")
    ] = False,
    minutes: Annotated[float, typer.Option(help="When Spark is stopped, on each size.")] = 10,
) -> None:
    """Print seconds, those outside a step's work, peak memory and growth; also to night.json."""
    folder.mkdir(parents=True, exist_ok=True)
    if ratings:
        with ratings.open("rb") as file:
            sources = {sum(1 for _ in file) - 1: {NIGHTS[0]: ratings}}
    else:
        sources = {int(size): files(folder, int(size), nightly) for size in sizes.split(",")}
    stands = machine() | (contest.versions(["pyspark"]) if peers else {})
    rows = summarize({size: run(folder, source) for size, source in sources.items()})
    beside: list[dict[str, Any]] = []
    record = {
        "machine": stands,
        "nightly": 0 if ratings else nightly,
        "steps": rows,
        "peers": beside,
    }

    def keep() -> None:
        (folder / "night.json").write_text(json.dumps(record, indent=2) + "\n")

    keep()
    plot(rows, image or folder / "night.png")
    for size, source in sources.items() if peers else ():
        beside += [
            {"ratings": size, **row} for row in night_peers.run(folder, source[NIGHTS[0]], minutes)
        ]
        keep()  # what is measured stays, however the next one ends
    console = Console(width=200)
    console.print(tabulate(rows, beside))
    console.print(", ".join(f"{name} {value}" for name, value in stands.items()))
    for line in (wrong := exceeded(rows)):
        print(f"error: {line}", file=sys.stderr)
    if wrong:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
