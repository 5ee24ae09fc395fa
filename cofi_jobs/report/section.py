"""What a report consists of."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

import pandas as pd
from markupsafe import Markup

from cofi_jobs.report.drawing import Plot


@dataclass(frozen=True)
class Table:
    """A DataFrame of texts with a title; the columns' names are the headings."""

    title: str
    frame: pd.DataFrame
    is_folded: bool = False  # until somebody opens it
    numbers: Collection[str] = ()  # columns that are aligned at the right


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
    id: str = ""  # that the card is looked up by
    is_extra: bool = False  # shown only if it is looked up


@dataclass
class Section:
    """A part of the page."""

    name: str
    title: str
    notes: list[str] = field(default_factory=list)
    parts: list[Markup] = field(default_factory=list)  # of a form of their own, above the plots
    plots: list[Plot] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    search: str = ""  # what the field says in which cards are looked up
