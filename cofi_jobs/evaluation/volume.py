"""Checks of how much a run took in, and of how much it wrote."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from cofi_jobs.evaluation.gate import Check, at_least
from cofi_jobs.settings.fields import Settings

RECENT = 7  # batches that say what a usual run brings
ENOUGH = 5  # fewer say nothing
NIGHT_HOURS = 12  # a run that follows the last publication sooner is an extra one


def volume(
    new: int, earlier: Sequence[int], hours: float | None, settings: Settings
) -> list[Check]:
    """New ratings since the last publication against the usual number of a run.

    `earlier` holds the sizes of the batches before, oldest first, `hours` the time since the last
    publication's run, if known. The first batch is not counted, as it may hold years, nor are empty
    batches. The usual number is the median of the 7 newest others, and fewer than 5 say nothing.
    No new rating at all is no collapse: nothing was delivered. Nor is it one if an extra run takes
    in what came since the scheduled one.
    """
    usual = [size for size in earlier[1:] if size][-RECENT:]
    if not new or len(usual) < ENOUGH:
        return []
    share = new / median(usual)
    text = f"{new:,} new ratings are {share:.3g} times the {median(usual):,.0f} of a usual run"
    most, least = settings.max_input, settings.min_input
    message = f"{text}, expected at most {most:g} (setting max_input)"
    checks = [Check("new ratings", share, most, share <= most, message, "lower")]
    if hours is None or hours >= NIGHT_HOURS:
        message = f"{text}, expected at least {least:g} (setting min_input)"
        checks.append(Check("new ratings", share, least, share >= least, message))
    return checks


@dataclass(frozen=True)
class Rows:
    """How many rows a table has, and how many it should have."""

    name: str
    n_rows: int
    n_expected: int


def row_counts(rows: Iterable[Rows], settings: Settings) -> list[Check]:
    """Rows against what is expected; no check where none is."""
    return [
        check
        for count in rows
        if count.n_expected
        for check in at_least(
            f"share of {count.name} ({count.n_rows:,} of {count.n_expected:,})",
            count.n_rows / count.n_expected,
            settings.min_rows,
            "min_rows",
        )
    ]


def places_in_lists(n_ratings: np.ndarray, n_shown: int, top_n: int) -> int:
    """Rows of full lists of users with `n_ratings` (n_users,), of `n_shown` items to show."""
    return int(np.clip(n_shown - n_ratings, 0, top_n).sum())


def places_in_similar_items(n_items: int, n_shown: int, similar_n: int) -> int:
    """Rows of full lists of similar items."""
    return n_items * max(0, min(similar_n, n_shown - 1))
