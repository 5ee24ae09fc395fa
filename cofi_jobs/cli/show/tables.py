"""DataFrames as tables on the terminal, and numbers as texts."""

import sys
from collections.abc import Collection
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table


def new_console() -> Console:
    """As wide as the terminal, or 120 characters where the output is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, markup=False)


def draw(frame: pd.DataFrame, title: str, texts: Collection[str] = ()) -> Table:
    """A DataFrame as a table; missing values are blank.

    The columns in `texts` are aligned to the left and wrap where the terminal is narrow. All other
    columns hold numbers: aligned to the right, never wrapped.
    """
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for heading in frame.columns:
        is_text = heading in texts
        table.add_column(
            heading, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold"
        )
    for row in frame.itertuples(index=False, name=None):
        table.add_row(*("" if pd.isna(cell) else str(cell) for cell in row))
    return table


def number(value: float | None) -> str:
    """A measure with four decimals."""
    return "none" if pd.isna(value) else f"{value:.4f}"


def signed(value: float | None) -> str:
    """A difference of measures, with its sign."""
    return "none" if pd.isna(value) else f"{value:+.4f}"


def interval(low: float | None, high: float | None, sign: str = "") -> str:
    """An interval as "low to high", blank without one."""
    return "" if pd.isna(low) or pd.isna(high) else f"{low:{sign}.4f} to {high:{sign}.4f}"


def integers(values: pd.Series) -> pd.Series:
    """Integers as texts, with a comma between thousands."""
    return values.map("{:,}".format).astype(str)


def blank_repeats(frame: pd.DataFrame, key: str, columns: list[str]) -> pd.DataFrame:
    """Blank some columns in each row whose `key` an earlier row has: a group is named once."""
    blanks: dict[str, Any] = {
        name: frame[name].mask(frame[key].duplicated(), "") for name in columns
    }
    return frame.assign(**blanks)
