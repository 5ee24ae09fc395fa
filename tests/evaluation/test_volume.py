"""Checks of how much a run took in."""

import pytest

from cofi_jobs.evaluation.volume import volume
from cofi_jobs.settings.resolve import load_settings

USUAL = [
    10**6,
    900,
    1000,
    1100,
    0,
    1000,
    1000,
]  # a first load of years, then nights, one of them empty


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
        (5, [10**6], 24, True),  # the second night after a first load of years
        (5, [10**6, 1000, 1000], 24, True),  # too few nights to know
        (10**6, [], None, True),
    ],
)
def test_input_volume(new, earlier, hours, passed):
    assert all(check.passed for check in volume(new, earlier, hours, load_settings())) is passed
