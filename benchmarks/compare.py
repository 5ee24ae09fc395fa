"""Training and scoring beside the peers: one table of ratios, two plots, one JSON."""

import json
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import typer
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from rich.console import Console
from rich.table import Table

from benchmarks import contest, data, scoring, training
from benchmarks.contest import FOLDER
from benchmarks.measure import machine
from benchmarks.options import FolderOption
from benchmarks.training import MEASURES

PACKAGES = ("faiss-cpu", "implicit", "lenskit", "numpy", "pyspark", "scikit-surprise", "scipy")
KINDS = {"lists": "top-20 lists", "similar": "similar items"}
Row = dict[str, Any]


def rows_of_training(results: list[Row]) -> list[list[str]]:
    """Cells of the table for each measure, set and peer."""
    cells = []
    for row in results:
        if row["contestant"] == "ours":
            continue
        what = f"train to {MEASURES[row['kind']]}"
        if not row["curve"]:
            cells.append([what, row["set"], row["contestant"], "not finished", "", ""])
            continue
        better = "<=" if row["kind"] == "rating" else ">="
        what += f" {better} {row['goal']:.4f}"
        ours, ratio = f"not reached, best {row['our_best']:.4f}", ""
        if row["ratio"] is not None:
            ours, ratio = f"{row['ours']:.2f}", f"{row['ratio']:.2f}"
        cells.append([what, row["set"], row["contestant"], f"{row['peer']:.2f}", ours, ratio])
    return cells


def rows_of_scoring(results: list[Row]) -> list[list[str]]:
    """Cells of the table for each kind of list, size and peer."""
    cells = []
    for row in results:
        if row["contestant"] == "ours":
            continue
        same = ("kind", "users", "items", "write")
        [ours] = [
            other
            for other in results
            if other["contestant"] == "ours" and all(other[k] == row[k] for k in same)
        ]
        what = KINDS[row["kind"]] + (", written" if row["write"] else "")
        size = (
            f"{row['users']:,} × {row['items']:,}"
            if row["kind"] == "lists"
            else f"{row['items']:,}"
        )
        ratio = ours["seconds"] / row["seconds"]
        cells.append(
            [
                what,
                size,
                _name(row),
                f"{row['seconds']:.2f}",
                f"{ours['seconds']:.2f}",
                f"{ratio:.2f}",
            ]
        )
    return cells


def _name(row: Row) -> str:
    return "our whole task" if row["contestant"] == "task" else str(row["contestant"])


def plot_training(results: list[Row], path: Path) -> None:
    """Quality by time, a panel for each measure and set."""
    panels = list(dict.fromkeys((row["kind"], row["set"]) for row in results))
    axes = _figure(len(panels))
    for (kind, name), axis in zip(panels, axes, strict=True):
        for row in results:
            if (row["kind"], row["set"]) == (kind, name) and row["curve"]:
                x, y = ([point[key] for point in row["curve"]] for key in ("seconds", "value"))
                bold = {"linewidth": 2.5, "color": "black"} if row["contestant"] == "ours" else {}
                axis.plot(x, y, "o-", markersize=3, label=row["contestant"], **bold)
        axis.set(
            xscale="log",
            xlabel="seconds of training",
            ylabel=f"{MEASURES[kind]} of test ratings",
            title=name,
        )
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
        axis.legend(fontsize="small")
        axis.grid(alpha=0.3)
    axes[0].figure.savefig(path, dpi=120)


def plot_scoring(results: list[Row], path: Path) -> None:
    """Seconds of each contestant, a panel for each kind and size."""
    panels = list(dict.fromkeys((row["kind"], row["users"], row["items"]) for row in results))
    axes = _figure(len(panels))
    for (kind, users, items), axis in zip(panels, axes, strict=True):
        rows = [
            row
            for row in results
            if (row["kind"], row["users"], row["items"]) == (kind, users, items)
        ]
        names = [_name(row) + (", written" if row["write"] else "") for row in rows]
        colors = ["black" if row["contestant"] in ("ours", "task") else "tab:blue" for row in rows]
        axis.barh(names, [row["seconds"] for row in rows], color=colors)
        size = f"{users:,} × {items:,}" if kind == "lists" else f"{items:,}"
        axis.set(xlabel="seconds", title=f"{KINDS[kind]}, {size}")
        axis.invert_yaxis()
    axes[0].figure.savefig(path, dpi=120)


def _figure(panels: int) -> list[Any]:
    mpl.use("Agg")
    columns = min(2, panels)
    lines = -(-panels // columns)
    figure = Figure(figsize=(5 * columns, 3.2 * lines), layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for spare in axes[panels:]:
        spare.remove()
    return axes[:panels]


def default_sets() -> list[str]:
    """Made-up ratings, and the real ones that are there."""
    movielens = data.SHARED / "ml-latest-small" / "ratings.csv"
    return ["1000000", "20000000", data.SAMPLE, *([str(movielens)] if movielens.is_file() else [])]


def main(
    sets: Annotated[
        str,
        typer.Option(
            help="Sets to train on, by commas: a number of made-up ratings, sample, or the path "
            "of a ratings.csv. That of ml-latest-small is one by default, if it is there."
        ),
    ] = ",".join(default_sets()),
    shapes: Annotated[
        str, typer.Option(help="Users x items to score, by commas.")
    ] = "138000x26700,8192x50000",
    folder: FolderOption = FOLDER,
    images: Annotated[
        Path | None, typer.Option(help="Where the plots go; beside the figures if left out.")
    ] = None,
) -> None:
    """Print the table; `ratio` is our time by the peer's, below 1 we are faster."""
    folder.mkdir(parents=True, exist_ok=True)
    trained = [row for which in sets.split(",") if which for row in training.run(folder, which)]
    scored = [
        row
        for shape in shapes.split(",")
        if shape
        for row in scoring.run(folder, *map(int, shape.split("x")))
    ]
    stands, peers = machine(), contest.versions(PACKAGES)
    record = {
        "machine": stands,
        "peers": peers,
        "threads": contest.THREADS,
        "training": trained,
        "scoring": scored,
    }
    (folder / "compare.json").write_text(json.dumps(record, indent=2) + "\n")
    table = Table("what", "size", "peer", "its seconds", "ours", "ratio")
    for cells in rows_of_training(trained) + rows_of_scoring(scored):
        table.add_row(*cells)
    for results, plot, name in (
        (trained, plot_training, "training.png"),
        (scored, plot_scoring, "scoring.png"),
    ):
        if results:
            plot(results, (images or folder) / name)
    console = Console(width=110)
    console.print(table)
    for versions in (stands, peers):
        console.print(", ".join(f"{name} {value}" for name, value in versions.items()))


if __name__ == "__main__":
    typer.run(main)
