"""NumPy on arrays that are grouped by user or item, against plain loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cofi_jobs.core.arrays import (
    from_newest,
    means_of_ties,
    ranges,
    sample,
    summed,
    tally,
    ties_among,
    to_unit_length,
)


def test_ages_count_from_the_newest_rating_of_each_user():
    assert from_newest(np.array([3, 0, 1, 2])).tolist() == [3, 2, 1, 1, 2, 1]
    assert from_newest(np.array([], int)).tolist() == []


def test_a_tally_is_that_of_bincount():
    rng = np.random.default_rng(0)
    index, values = rng.integers(5, size=(1 << 20) + 7), rng.integers(9, size=(1 << 20) + 7)
    assert tally(index, 6).tolist() == np.bincount(index, minlength=6).tolist()
    assert tally(index, 6, values).tolist() == np.bincount(index, values, minlength=6).tolist()
    assert tally(index[:0], 2).tolist() == [0, 0]


def test_ranges_stand_one_after_the_other():
    which, numbers = ranges(np.array([7, 2, 0]), np.array([2, 0, 3]))
    assert which.tolist() == [0, 0, 2, 2, 2]
    assert numbers.tolist() == [7, 8, 0, 1, 2]


def test_a_sample_is_all_where_there_are_few():
    assert sample(5, 5, seed=0).all()
    chosen = sample(100, 7, seed=1)
    assert chosen.sum() == 7
    assert chosen.tolist() == sample(100, 7, seed=1).tolist()


def test_vectors_of_length_one_and_zeros_that_stay():
    unit = to_unit_length(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(unit, np.array([[0.6, 0.8], [0.0, 0.0]]), rtol=1e-6)


@given(rows=st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 1)), max_size=20))
def test_ties_are_runs_of_equal_keys(rows: list[tuple[int, bool, float]]):
    """A tie is a run of equal keys: what is left of it stays one, and its mean is that of all."""
    rows = sorted(rows, key=lambda row: row[0])
    key, mask = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], bool)
    values = np.array([row[2] for row in rows])
    tied = np.append(False, key[1:] == key[:-1])[: len(key)]
    kept = key[mask]
    expected = [i > 0 and kept[i] == kept[i - 1] for i in range(len(kept))]
    assert ties_among(tied, mask).tolist() == expected
    if len(rows):
        np.testing.assert_allclose(
            means_of_ties(values, tied), [values[key == k].mean() for k in key], atol=1e-12
        )


@given(st.lists(st.text(max_size=3), min_size=1, max_size=40))
def test_a_sum_of_neighbouring_parts_keeps_their_order(parts: list[str]) -> None:
    assert summed(parts) == "".join(parts)
