"""NumPy on arrays that are grouped by user or item, against plain loops."""

import numpy as np

from cofi_jobs.core.arrays import from_newest, ranges, sample, tally, to_unit_length


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
