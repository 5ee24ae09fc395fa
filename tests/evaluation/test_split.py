"""Which ratings a model is tested on."""

import numpy as np
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.evaluation.split import newest_days, newest_of_each_user


def test_the_newest_share_of_each_user_is_tested_on():
    user_index = np.array([0] * 10 + [1] * 3 + [2] + [4] * 5)
    mask = newest_of_each_user(user_index, 0.2)
    assert mask.nonzero()[0].tolist() == [
        8,
        9,
        12,
        18,
    ]  # two of ten, at least one, never a user's only rating


def test_the_ratings_of_the_last_days_are_tested_on():
    time = np.array(
        ["2026-01-01", "NaT", "2026-01-09T12:00", "2026-01-10", "2026-01-08"], "datetime64[us]"
    )
    assert newest_days(time, 1).tolist() == [False, False, True, True, False]
    assert not newest_days(np.full(3, "NaT", "datetime64[us]"), 1).any()
    with pytest.raises(
        DataError, match="found no rating older than the 30 days that test_days holds out"
    ):
        newest_days(time[[0, 2]], 30)
