"""The nearest others of an item against all pairs."""

import numpy as np
import pytest

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.ranking.similar import nearest


@pytest.mark.parametrize("measure", ["cosine", "distance"])
def test_nearest_others_are_those_of_all_pairs(measure):
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    excluded = np.array([3, 17])
    if measure == "cosine":
        X = to_unit_length(X)
        closeness = X @ X.T
    else:
        closeness = -((X[:, None] - X) ** 2).sum(axis=2)
    np.fill_diagonal(closeness, -np.inf)
    closeness[:, excluded] = -np.inf
    columns, values = nearest(X, slice(10, 25), 5, measure, excluded)
    expected = np.argsort(-closeness[10:25], axis=1)[:, :5]
    np.testing.assert_array_equal(columns, expected)
    best = np.take_along_axis(closeness[10:25], expected, axis=1)
    np.testing.assert_allclose(values, best if measure == "cosine" else -best, atol=1e-5)


def test_what_is_missing_is_not_finite_and_a_cosine_is_at_most_one():
    X = to_unit_length(np.full((3, 7), 0.3, np.float32))
    columns, values = nearest(X, slice(0, 3), 5, "cosine", excluded=[0])
    assert columns.shape == (3, 2)
    assert np.isfinite(values).sum(axis=1).tolist() == [2, 1, 1]
    assert values.max() <= 1
