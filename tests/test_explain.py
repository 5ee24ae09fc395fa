"""A contribution is what the score really loses when the rating is taken away and the user's row is solved again."""

import numpy as np

from cofi_jobs.explain import contributions


def fitted_row(rated, y, weights, gram, alpha, penalty):
    A = alpha * gram + rated.T @ (weights[:, None] * rated) + penalty * np.eye(len(gram))
    return np.linalg.solve(A, rated.T @ (weights * y))


def test_contributions_are_the_falls_of_a_refit():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 6))
    rated, candidates = X[:8], X[20:25]
    y, weights, gram, alpha, penalty = rng.uniform(1, 5, 8), rng.uniform(0.3, 3, 8), X.T @ X, 0.3, 2.0
    found = contributions(rated, y, weights, candidates, gram, alpha, penalty)
    whole = candidates @ fitted_row(rated, y, weights, gram, alpha, penalty)
    for gone in range(8):
        rest = np.arange(8) != gone
        without = candidates @ fitted_row(rated[rest], y[rest], weights[rest], gram, alpha, penalty)
        np.testing.assert_allclose(found[gone], whole - without, rtol=1e-9)


def test_a_user_without_ratings_has_no_contributions():
    X = np.eye(3)
    assert contributions(X[:0], np.zeros(0), np.zeros(0), X, X.T @ X, 0.3, 1.0).shape == (0, 3)


def test_without_any_penalty_contributions_stay_finite():
    X = np.eye(3)
    found = contributions(X[:2], np.ones(2), np.ones(2), X, X.T @ X, alpha=0.0, penalty=0.0)
    assert np.isfinite(found).all()
