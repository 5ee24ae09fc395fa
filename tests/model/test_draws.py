"""Draws of users: each round has all of them, whoever draws and however they are parted."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.model import draws
from cofi_jobs.model.draws import UserBlocks, UserDraws
from cofi_jobs.model.sharded import whole_blocks


def test_draws_go_round_through_all_users_who_rated_in_parts_of_about_as_many_ratings():
    counts = np.array([3, 0, 50, 1, 1, 1, 2, 2, 9, 1] * 10)
    drawn = UserDraws(UserBlocks.of_all(counts), 5, seed=0)
    rounds = [[drawn.users(number) for number in range(first, first + 5)] for first in (0, 5)]
    for parts in rounds:
        assert sorted(np.concatenate(parts)) == np.flatnonzero(counts).tolist()
        assert max(counts[part].sum() for part in parts) < counts.sum() / 5 + 2 * 50
    assert np.concatenate(rounds[0]).tolist() != np.concatenate(rounds[1]).tolist()
    assert drawn.users(3).tolist() == rounds[0][3].tolist(), "a draw that was made before"
    other = UserDraws(UserBlocks.of_all(counts), 5, seed=1)
    assert other.users(0).tolist() != rounds[0][0].tolist()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.lists(st.integers(0, 60), max_size=4),
    st.integers(1, 7),
    st.integers(0, 30),
)
def test_whoever_has_some_of_the_users_draws_those_that_one_who_has_all_would(
    n_ratings, ends, n_parts, number
):
    counts = np.array(n_ratings)
    bounds = sorted({0, len(counts), *(end for end in ends if end < len(counts))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draws, "BLOCK", 8)
        patch.setattr("cofi_jobs.model.sharded.BLOCK", 8)
        expected = UserDraws(UserBlocks.of_all(counts), n_parts, seed=3).users(number)
        drawn = []
        for start, stop in pairwise(bounds):
            blocks = whole_blocks(slice(start, stop), len(counts))
            own = slice(start - blocks.start, stop - blocks.start)
            part = UserBlocks(counts[blocks], blocks.start, own)
            drawn += (UserDraws(part, n_parts, seed=3).users(number) + start).tolist()
    assert sorted(drawn) == sorted(expected.tolist())
    assert (counts[expected] > 0).all()
