"""The nearest others of an item against all pairs."""

import numpy as np
import pytest

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.ranking.similar import nearest, similarity_vectors


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


def test_some_items_get_the_neighbours_that_all_get():
    X = to_unit_length(np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32))
    some = np.array([20, 3, 7])
    every, few = nearest(X, slice(0, 30), 5, "cosine")[0], nearest(X, some, 5, "cosine")[0]
    np.testing.assert_array_equal(few, every[some])


def test_similarity_is_the_cosine_shrunk_by_the_evidence_of_both():
    rng = np.random.default_rng(2)
    X, n = rng.normal(size=(9, 3)).astype(np.float32), np.array([0, 1, 1, 2, 5, 20, 50, 400, 9**9])
    vectors = similarity_vectors(X, n, "cosine")
    cosine = to_unit_length(X) @ to_unit_length(X).T
    expected = cosine * np.sqrt(np.outer(n / (n + 20), n / (n + 20)))
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-6)
    np.testing.assert_array_equal(similarity_vectors(X, n, "distance"), X)


def test_one_users_single_ratings_do_not_come_before_what_many_rated():
    """Items 0 to 5 have one rating by one user, so one direction; item 6 is close, and known."""
    X = np.array([[1, 0]] * 6 + [[0.9, 0.3], [-1, 0.2]], np.float32)
    vectors = similarity_vectors(X, np.array([1] * 6 + [100, 100]), "cosine")
    columns, values = nearest(vectors, slice(0, 1), 3, "cosine")
    assert columns[0].tolist() == [6, 1, 2]
    assert values[0, 1] < 0.05
