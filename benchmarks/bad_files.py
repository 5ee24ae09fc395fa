"""Files that are mostly broken: how long ingest takes, and how much memory, as they grow.

Time must grow in proportion to the size of a file, and memory must not grow: it stays within
`memory_limit_mb` and 300 MB. Each file has a few good ratings above the broken lines.
"""

import gzip
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import measure, task_command

GOOD = "userId,movieId,rating,timestamp\n1,10,4,1000000000\n2,20,3,1000000000\n"
MEMORY_MB, MORE_MB = 512, 300
SETTINGS = {"memory_limit_mb": MEMORY_MB, "max_rejected": 1, "settle_seconds": 0}
BLOCK = 1 << 20  # bytes


def repeated(line: str) -> Callable[[Path, float], None]:
    """Writes the good lines, and so many megabytes of one line."""

    def write(path: Path, megabytes: float) -> None:
        path.write_text(GOOD + line * int(megabytes * BLOCK / len(line)))

    return write


def one_json_line(path: Path, megabytes: float) -> None:
    """Two good objects, and one of so many megabytes, packed with gzip."""
    good = '{"user": 1, "item": 10, "rating": 4}\n{"user": 2, "item": 10, "rating": 3}\n'
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write(good + '{"user": 3, "item": 10, "rating": 5, "review": "')
        file.write("x" * int(megabytes * BLOCK) + '"}\n')


KINDS: dict[str, tuple[str, Callable[[Path, float], None]]] = {
    "lines of x": ("a.csv", repeated("x\n")),
    "lines of words": ("a.csv", repeated("a,b,c,d\n")),
    "lines of too many columns": ("a.csv", repeated("1,2,3,4,5,6,7\n")),
    "ratings outside the scale": ("a.csv", repeated("1,10,9999,1000000000\n")),
    "one JSON line, in gzip": ("a.jsonl.gz", one_json_line),
}


def main(
    megabytes: Annotated[str, typer.Option(help="Sizes of the files, by commas.")] = "2,8",
) -> None:
    """Print seconds, peak memory and growth of each kind and size."""
    table = Table("file", "MB", "seconds", "peak MB", "limit MB", "growth")
    for kind, (name, write) in KINDS.items():
        earlier: tuple[float, float] | None = None
        for size in map(float, megabytes.split(",")):
            folder = Path(tempfile.mkdtemp(prefix="cofi-bad-files-"))
            write(folder / name, size)
            command = task_command("ingest", folder / "store", "night-1", SETTINGS, folder / name)
            measured = measure(command)
            growth = ""
            if earlier:
                exponent = np.log(measured.seconds / earlier[1]) / np.log(size / earlier[0])
                growth = f"{exponent:.2f}"
            earlier = size, measured.seconds
            table.add_row(
                kind, f"{size:g}", f"{measured.seconds:.1f}", f"{measured.peak_mb:.0f}",
                f"{MEMORY_MB + MORE_MB}", growth,
            )  # fmt: skip
            shutil.rmtree(folder)
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
