"""What a report consists of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cofi_jobs.report.drawing import Plot

Row = tuple[str, str, str]  # title, a number, a remark


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers with a title."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Card:
    """A user or an item with lists: heading -> rows."""

    title: str
    lists: dict[str, list[Row]]


@dataclass
class Section:
    """A part of the page."""

    name: str
    title: str
    notes: list[str] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
