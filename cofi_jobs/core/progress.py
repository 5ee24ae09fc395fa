"""Progress of long loops: a bar on a terminal, nothing in a log, where tasks write lines."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track

T = TypeVar("T")
CONSOLE = Console(
    stderr=True
)  # one for bars and log lines, so that they do not write over each other


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """The items, one by one, with a progress bar on standard error if that is a terminal."""
    if not CONSOLE.is_terminal:
        return iter(items)
    return iter(rich_track(items, description, total=total, console=CONSOLE, transient=True))
