"""What is a rating, and how new ratings come on top of those of a run."""

import re
from datetime import datetime

import numpy as np
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.core.scale import Scale
from cofi_jobs.ranking.new_ratings import checked_ratings, in_time, with_new

OLD = np.array([7, 3, 5]), np.array([1.0, 2, 3], np.float32), np.array([False, True, True])
NEW = (
    np.array([5, 9, 3, 8]),
    np.array([4, 2, np.nan, np.nan], np.float32),
    np.array([False, False, True, True]),
)


def test_a_rating_replaces_and_a_count_adds_and_what_is_new_is_newest():
    items, stars, tied = with_new(*OLD, *NEW, Scale(1, 5))
    assert (items.tolist(), stars.tolist(), tied.any()) == ([7, 5, 9], [1, 4, 2], False)
    items, counts, tied = with_new(*OLD, *NEW, None)
    assert (items.tolist(), counts.tolist(), tied.any()) == ([7, 5, 9], [1, 7, 2], False)


def test_ratings_of_the_run_stay_tied():
    other = np.array([7, 9]), np.array([5, 5], np.float32), np.array([False, True])
    items, _, tied = with_new(*OLD, *other, Scale(1, 5))
    assert (items.tolist(), tied.tolist()) == ([3, 5, 7, 9], [False, True, False, True])


@pytest.mark.parametrize(
    "times", [[5, 2.5, 5], ["2024-02-01", "2023", "2024-02-01"], [datetime.max, datetime.min] * 2]
)
def test_times_give_the_order_and_equal_times_a_tie(times):
    order, tied = in_time(times[:3], 3)
    assert (order.tolist(), tied.tolist()) == ([1, 0, 2], [False, False, True])


def test_there_is_a_time_for_each_rating_or_none():
    assert [part.tolist() for part in in_time(None, 2)] == [[0, 1], [False, False]]
    assert [part.tolist() for part in in_time([], 0)] == [[], []]
    with pytest.raises(DataError, match="found 1 times, expected 2, one for each rating"):
        in_time([1], 2)
    with pytest.raises(DataError, match="found times that cannot be compared"):
        in_time([1, None], 2)


def test_a_rating_at_the_end_of_the_scale_is_within_it_as_tables_have_it():
    scale = Scale(*np.array([0.1, 4.9], np.float32).tolist())
    assert checked_ratings({1: 0.1, 2: 4.9, 3: None}, scale)[:2].tolist() == list(scale)
    with pytest.raises(DataError, match=r"found 0.0999 for item 1, expected a rating from 0.1 to"):
        checked_ratings({1: 0.0999}, scale)


@pytest.mark.parametrize("count", [0, -1, float("inf"), float("nan"), 1e300, "3", True])
def test_a_count_is_above_0(count):
    with pytest.raises(DataError, match=re.escape(f"found {count!r} for item 7, expected a count")):
        checked_ratings({5: 1, 7: count}, None)
