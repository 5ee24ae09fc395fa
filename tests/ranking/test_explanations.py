"""A contribution is what a score really loses when the row is solved without a rating."""

import numpy as np
import pyarrow as pa
import pytest

from cofi_jobs.core.factors import Factors, StoredModel, initial_factors
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.fit import fit
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.ridge import recency_weights, ridge_solution
from cofi_jobs.ranking.explanations import (
    contributions,
    explain,
    inverse,
    inverse_matrices,
    shares,
    standing_of,
)


def of_one(rated, y, weights, candidates, gram, alpha, penalty, prior=0.0, prior_penalty=0.0):
    """`contributions` of a single user."""
    matrices = gram, np.array([alpha]), np.array([penalty + prior_penalty])
    A_inverse = inverse_matrices(rated[None], weights[None], *matrices)
    w = ridge_solution(rated, y, weights, gram, alpha, max(penalty, 1e-9), prior_penalty, prior)
    of_user = rated[None], y[None], weights[None]
    return contributions(A_inverse, w[None], *of_user, candidates[None])[0]


def test_contributions_are_the_falls_of_a_refit():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 6))
    rated, candidates = X[:8], X[20:25]
    y, weights, gram, alpha, penalty = (
        rng.uniform(1, 5, 8),
        rng.uniform(0.3, 3, 8),
        X.T @ X,
        0.3,
        2.0,
    )
    prior = rng.normal(size=6)
    falls = of_one(rated, y, weights, candidates, gram, alpha, penalty, prior, 1.5)
    whole = candidates @ ridge_solution(rated, y, weights, gram, alpha, penalty, 1.5, prior)
    for gone in range(8):
        rest = np.arange(8) != gone
        without = candidates @ ridge_solution(
            rated[rest], y[rest], weights[rest], gram, alpha, penalty, 1.5, prior
        )
        np.testing.assert_allclose(falls[gone], whole - without, rtol=1e-9)


def test_a_user_without_ratings_has_no_contributions():
    X = np.eye(3)
    assert of_one(X[:0], np.zeros(0), np.zeros(0), X, X.T @ X, 0.3, 1.0).shape == (0, 3)


def test_without_any_penalty_contributions_stay_finite():
    X = np.eye(3)
    falls = of_one(X[:2], np.ones(2), np.ones(2), X, X.T @ X, alpha=0.0, penalty=0.0)
    assert np.isfinite(falls).all()


def test_an_explanation_by_hand():
    rng = np.random.default_rng(3)
    X, prior = rng.normal(size=(9, 3)), rng.normal(size=3)
    X[4] = X[7]  # equal scores: the lower row stands first
    rated, y = np.array([0, 8]), np.array([1.0, 0.5])
    w = ridge_solution(X[rated], y, np.ones(2), X.T @ X, 2 * 2 / 9, 1.0, 0.6, prior)
    scores = X @ w
    order = [
        item
        for item in sorted(range(9), key=lambda item: (-scores[item], item))
        if item not in (0, 8)
    ]
    for item in order:
        standing = standing_of(Objective(alpha=2.0, prior_lambda=0.6), X, w, rated, y, item)
        assert (standing.rank, standing.n_unrated) == (order.index(item) + 1, 7)
        assert standing.score == pytest.approx(scores[item])
        falls = of_one(X[rated], y, np.ones(2), X[[item]], X.T @ X, 2 * 2 / 9, 1.0, prior, 0.6)
        np.testing.assert_allclose(standing.falls, falls[:, 0], rtol=1e-5)


def test_an_explanation_holds_the_predicted_rating_and_shares():
    rng = np.random.default_rng(4)
    X, W, b = rng.normal(size=(6, 3)), rng.normal(size=(1, 3)), np.array([0.5])
    rating, ranking = Factors(X[::-1], W, b), Factors(X, W + 1, np.zeros(1))
    ids, means = pa.array(range(6)), np.full(6, 3.0)
    model = StoredModel(ids.slice(0, 1), ids, rating, ranking, means)
    objective, scale = Objective(alpha=2.0), Scale(1, 5)
    rated, ratings = np.array([0, 5]), np.array([5.0, 3.0])
    for item in range(1, 5):
        explained = explain(model, objective, rated, ratings, item, scale)
        y = np.array([1, 1 / 3], np.float32)
        standing = standing_of(objective, X, W[0] + 1, rated, y, item)
        assert (explained.score, explained.rank, explained.n_unrated) == (
            standing.score,
            standing.rank,
            standing.n_unrated,
        )
        predicted = np.clip(X[::-1][item] @ W[0] + 0.5 + 3, 1, 5)
        assert explained.predicted_rating == pytest.approx(predicted, rel=1e-6)
        np.testing.assert_allclose(explained.shares, shares(standing.falls), rtol=1e-6)


def test_shares_of_what_speaks_for_an_item_add_up_to_one():
    np.testing.assert_allclose(shares(np.array([3.0, -1.0, 1.0, 0.0])), [0.75, -0.25, 0.25, 0])
    assert not shares(np.array([-1.0, 0.0])).any()


TRAINED = Objective(
    "ranking", lambda_=0.7, nu=0.5, alpha=5.0, bias=False, exact_users=True, recency=0.5, steps=2
)


@pytest.fixture
def trained_ratings():
    rng = np.random.default_rng(4)
    user, item = np.nonzero(rng.random((1100, 30)) < 0.2)
    order = np.lexsort(
        (rng.random(len(user)), user)
    )  # each user's ratings in a random order of time
    y = rng.standard_normal(len(user), dtype=np.float32)
    return user, item[order], y


def test_contributions_are_the_falls_of_the_rows_that_training_solved(trained_ratings):
    n_users, n_items = 1100, 30
    user, item, y = trained_ratings
    objective = TRAINED
    factors = fit(objective, initial_factors(n_items, n_users, 4, seed=0), user, item, y).factors
    X, of_user, rest = factors.X.astype(np.float64), user == 7, np.arange((user == 7).sum()) != 2
    rated, y, weights = (
        X[item[of_user]],
        y[of_user],
        recency_weights(np.array([of_user.sum()]), objective.recency),
    )
    n = np.array([of_user.sum()])
    alpha, penalty = (
        objective.alphas(n, n_items).astype(float),
        objective.user_penalties(n, n_items).astype(float),
    )
    # A user of more ratings beside this one, who is filled up with zeros.
    both = (
        np.stack([np.append(a, 0 * a[:1], axis=0), np.append(a, a[:1], axis=0)])
        for a in (rated, y, weights)
    )
    rows, targets, of_rating = both
    A_inverse = inverse_matrices(rows, of_rating, X.T @ X, alpha.repeat(2), penalty.repeat(2))
    w = np.stack([factors.W[7], factors.W[7]])
    falls = contributions(A_inverse, w, rows, targets, of_rating, np.stack([X[:3], X[:3]]))[0]
    np.testing.assert_array_equal(falls[-1], 0)
    without = ridge_solution(
        rated[rest], y[rest], weights[rest], X.T @ X, float(alpha[0]), float(penalty[0])
    )
    np.testing.assert_allclose(falls[2], X[:3] @ (factors.W[7] - without), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("n", [1, 16, 17, 65, 100])
def test_inverse_is_that_of_lapack(n):
    rows = np.random.default_rng(n).standard_normal((5, 2 * n, n))
    A = rows.transpose(0, 2, 1) @ rows + np.eye(n)
    np.testing.assert_allclose(inverse(A), np.linalg.inv(A), rtol=1e-9, atol=1e-12)
