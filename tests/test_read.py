"""What programs read: an item's mean as people read it."""

import pandas as pd
import pytest

from cofi_jobs.read import shown_mean


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ({"mean": 3.79, "mean_rating": 5.0}, "mean 5.00"),
        ({"mean": 3.79}, "damped mean 3.79"),  # a run of an older version
        ({"mean": pd.NA, "mean_rating": None}, ""),  # of events
        ({"mean": None}, ""),
    ],
)
def test_the_true_mean_is_shown_and_the_damped_one_is_called_so(item: dict, shown: str):
    assert shown_mean(pd.Series(item, dtype=object)) == shown
