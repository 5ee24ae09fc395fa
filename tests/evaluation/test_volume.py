"""Checks of how much a run took in, and of how much it wrote."""

import numpy as np
import pytest

from cofi_jobs.evaluation.volume import (
    Rows,
    places_in_lists,
    places_in_similar_items,
    row_counts,
    volume,
)
from cofi_jobs.settings.resolve import load_settings

USUAL = [
    10**6,
    900,
    1000,
    1100,
    0,
    1000,
    1000,
]  # a first load of years, then runs, one of them empty


@pytest.mark.parametrize(
    ("new", "earlier", "hours", "passed"),
    [
        (1000, USUAL, 24, True),
        (5, USUAL, 24, False),  # collapsed
        (5, USUAL, None, False),
        (5, USUAL, 1, True),  # an extra run by hand
        (0, USUAL, 24, True),  # an empty landing folder
        (30_000, USUAL, 24, False),  # exploded
        (30_000, USUAL, 1, False),
        (5, [10**6], 24, True),  # the second run after a first load of years
        (5, [10**6, 1000, 1000], 24, True),  # too few runs to know
        (10**6, [], None, True),
    ],
)
def test_input_volume(new, earlier, hours, passed):
    assert all(check.passed for check in volume(new, earlier, hours, load_settings())) is passed


def test_too_few_rows_are_named():
    rows = [Rows("rows of a", 90, 100), Rows("rows of b", 0, 0), Rows("rows of c", 100, 100)]
    few, enough = row_counts(rows, load_settings(["min_rows=0.95"]))
    assert not few.passed
    assert few.message == (
        "share of rows of a (90 of 100) is 0.9, expected at least 0.95 (setting min_rows)"
    )
    assert enough.passed


def test_full_lists_leave_out_rated_items():
    assert places_in_lists(np.array([0, 3, 9, 12]), n_shown=10, top_n=5) == 5 + 5 + 1 + 0
    assert places_in_similar_items(n_items=10, n_shown=4, similar_n=5) == 30
    assert places_in_similar_items(n_items=10, n_shown=0, similar_n=5) == 0
