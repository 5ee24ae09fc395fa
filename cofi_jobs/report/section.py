"""What a report consists of."""

from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd

from cofi_jobs.report.drawing import Plot


@dataclass(frozen=True)
class Table:
    """A DataFrame of texts with a title; the columns' names are the headings."""

    title: str
    frame: pd.DataFrame


class Entry(NamedTuple):
    """A line of a card's list."""

    title: str
    number: str
    remark: str = ""


@dataclass(frozen=True)
class Card:
    """A user or an item with lists: heading -> entries."""

    title: str
    lists: dict[str, list[Entry]]


@dataclass
class Section:
    """A part of the page."""

    name: str
    title: str
    notes: list[str] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
