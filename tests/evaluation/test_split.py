"""Which ratings a model is tested on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.errors import DataError
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation.split import (
    DRAWS,
    holdout_mask,
    newest_days,
    newest_of_each_user,
)
from cofi_jobs.settings.resolve import load_settings


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


def drawn_split(rows: list[tuple[int, int, int]], share: float) -> set[tuple[int, int, int]]:
    """The test ratings among (user, time, draw), as the split finds them."""
    rows = sorted(rows)
    user, time, draw = (np.array([row[place] for row in rows], np.int64) for place in range(3))
    tied = np.append(False, (user[1:] == user[:-1]) & (time[1:] == time[:-1]))[: len(rows)]
    draws = draw.astype(np.uint16)
    mask = newest_of_each_user(user.astype(np.int32), share, tied, draws)
    return {row for row, is_test in zip(rows, mask, strict=True) if is_test}


ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, DRAWS - 1)),
    min_size=1,
    max_size=25,
    unique=True,
)


@given(rows=ROWS, share=st.sampled_from([0.2, 0.5]))
@settings(max_examples=60, deadline=None)
def test_test_ratings_are_newer_or_drawn_higher_than_train_ratings(rows, share):
    test = drawn_split(rows, share)
    for user in {row[0] for row in rows}:
        own = sorted(row for row in rows if row[0] == user)
        n_test = sum(row in test for row in own)
        assert test & {*own} == {*own[len(own) - n_test :]}  # by time, then by draw
        assert (n_test >= 1) == (len(own) > 1)
        assert n_test < len(own)
        plain = min(max(1, int(len(own) * share)), len(own) - 1)
        line = len(own) - plain
        if line and plain and own[line][1] != own[line - 1][1]:
            assert n_test == plain


@given(rows=ROWS, later=ROWS, first_later=st.sampled_from([0, 4]))
@settings(max_examples=60, deadline=None)
def test_a_rating_that_was_trained_on_is_no_test_rating_the_next_day(rows, later, first_later):
    """Later ratings have no time either, or come at a later time than all before."""
    rows = [(user, 0 if first_later == 0 else time, draw) for user, time, draw in rows]
    later = [(user, first_later and first_later + time, draw) for user, time, draw in later]
    before, after = drawn_split([*{*rows}], 0.2), drawn_split([*{*rows, *later}], 0.2)
    for user in {row[0] for row in rows}:
        own = {row for row in rows if row[0] == user}
        # Without times there are two exceptions: a user's only rating is a train rating, and so is
        # the lowest draw, however high.
        if first_later or (len(own) > 1 and min(draw for _, _, draw in own) < 0.8 * DRAWS):
            assert after & own <= before


def test_without_an_order_a_share_is_drawn_at_random():
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(2000), 20).astype(np.int32)
    draws = np.sort(rng.integers(0, DRAWS, (2000, 20)), axis=1).astype(np.uint16).ravel()
    tied = np.arange(len(user)) % 20 > 0
    n_test = newest_of_each_user(user, 0.2, tied, draws).reshape(2000, 20).sum(axis=1)
    assert n_test.mean() == pytest.approx(4, rel=0.03)
    assert n_test.std() == pytest.approx(np.sqrt(20 * 0.2 * 0.8), rel=0.1)
    draws = np.sort(rng.integers(0, DRAWS, (4000, 10)), axis=1).astype(np.uint16).ravel()
    half = newest_of_each_user(user, 0.2, np.arange(len(user)) % 10 > 0, draws)
    assert half.reshape(2000, 20)[:, :10].sum() == 0
    assert half.mean() == pytest.approx(0.2, rel=0.03)


def test_without_any_time_test_days_gives_way_to_the_share():
    ratings = Ratings(np.zeros(10, np.int32), np.arange(10, dtype=np.int32), np.ones(10), 1, 10)
    day_before = np.array(["2026-01-01"] * 9 + ["2026-01-09"], "datetime64[us]")
    settings = load_settings(["test_days=3"])
    assert holdout_mask(ratings, np.full(10, "NaT", "datetime64[us]"), settings).sum() == 2
    assert holdout_mask(ratings, day_before, settings).sum() == 1
