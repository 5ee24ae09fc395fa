"""Bins around the ratings that are given."""

import numpy as np
import pytest

from cofi_jobs.report.ratings import bins


@pytest.mark.parametrize(
    ("ratings", "scale", "centres"),
    [
        ([1, 2, 4, 5], (1, 5), [1, 2, 3, 4, 5]),
        ([0.5, 1, 4.5, 5], (0.5, 5), [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]),
        ([-10, 0, 10], (-10, 10), [-10, 0, 10]),
        ([3], (1, 5), None),
    ],
)
def test_bins_lie_around_the_ratings_that_are_given(ratings, scale, centres):
    edges = bins(np.array(ratings, float), *map(float, scale))
    if centres is not None:
        np.testing.assert_allclose((edges[1:] + edges[:-1]) / 2, centres)
    assert np.histogram(ratings, edges)[0].sum() == len(ratings)


def test_bins_of_ratings_of_any_value():
    values = np.random.default_rng(0).uniform(-10, 10, 1000)
    edges = bins(values, -10, 10)
    assert len(edges) == 26
    assert np.histogram(values, edges)[0].sum() == 1000
