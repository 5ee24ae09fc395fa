"""Progress of long loops: a bar on a terminal, nothing in a log, where the tasks write their own lines."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track

T = TypeVar("T")


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """The items, one by one, with a progress bar on standard error if that is a terminal."""
    if not sys.stderr.isatty():
        return iter(items)
    return iter(rich_track(items, description, total=total, console=Console(stderr=True), transient=True))
