"""The rows of many users at once are those of the definition, `ridge_solution`, one by one."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.arrays import tally
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.ridge import recency_weights, ridge_solution
from cofi_jobs.model.row_solver import RowSolver
from cofi_jobs.model.user_ratings import UserRatings, by_user


def solved(
    objective: Objective, X: np.ndarray, ratings: UserRatings, prior: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    return RowSolver(objective, X, tally(ratings.item_index, len(X)), prior).solve(ratings)


def by_definition(
    objective: Objective, X: np.ndarray, ratings: UserRatings, prior: np.ndarray
) -> np.ndarray:
    """Each user's row, b_j last if the model has b, in double precision."""
    n_items, k = X.shape
    factors = np.hstack([X, np.ones((n_items, 1))]) if objective.bias else X
    # The term of all pairs is of w.x alone.
    gram = np.zeros((factors.shape[1],) * 2)
    gram[:k, :k] = X.T @ X
    penalties = objective.user_penalties(ratings.counts, n_items).astype(float)
    prior = np.append(prior, [0.0] * objective.bias)
    rows = []
    for user, n in enumerate(ratings.counts):
        of_user = ratings.user_index == user
        penalty = np.append(np.full(k, penalties[user]), [objective.bias_lambda] * objective.bias)
        prior_penalty = np.append(np.full(k, objective.prior_lambda), [0.0] * objective.bias)
        weights = recency_weights(np.array([n]), objective.recency).astype(float)
        y = ratings.y[of_user].astype(float)
        alpha = objective.alpha * (n / n_items) ** objective.alpha_nu
        rated = factors[ratings.item_index[of_user]]
        rows.append(ridge_solution(rated, y, weights, gram, alpha, penalty, prior_penalty, prior))
    return np.array(rows)


def assert_as_defined(objective: Objective, X: np.ndarray, ratings: UserRatings) -> None:
    prior = np.linspace(-1, 2, X.shape[1])
    W, b = solved(objective, X.astype(np.float32), ratings, prior)
    rows = np.hstack([W, b[:, None]]) if objective.bias else W
    for row, expected in zip(rows, by_definition(objective, X, ratings, prior), strict=True):
        close = 1e-3 * max(1e-9, np.abs(expected).max())
        np.testing.assert_allclose(row, expected, rtol=0, atol=close)


@st.composite
def problems(draw: Any) -> tuple[Objective, np.ndarray, UserRatings]:
    """A model with penalties, and users with no, few or all of the items rated."""
    objective = Objective(
        lambda_=draw(st.floats(0.1, 10)),
        nu=draw(st.floats(0, 1)),
        alpha=draw(st.sampled_from([0.0, 0.5, 30.0])),
        alpha_nu=draw(st.sampled_from([0.0, 0.4, 1.0])),
        penalty_of_pairs=draw(st.booleans()),
        prior_lambda=draw(st.sampled_from([0.0, 0.7, 5.0])),
        bias=draw(st.booleans()),
        bias_lambda=draw(st.floats(0.1, 10)),
        recency=draw(st.sampled_from([0.0, 0.5, 2.0])),
    )
    n_items, k = draw(st.integers(1, 40)), draw(st.integers(1, 8))
    counts = draw(st.lists(st.integers(0, n_items), min_size=1, max_size=30))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    user = np.repeat(np.arange(len(counts)), counts)
    item = np.concatenate([rng.choice(n_items, n, replace=False) for n in counts]).astype(int)
    ratings = by_user(user, item, rng.standard_normal(len(user)), len(counts))
    # With nu > 0 a user without ratings has no penalty, so the definition has no solution.
    if not all(counts) and objective.nu:
        objective = Objective(**{**vars(objective), "nu": 0.0})
    return objective, rng.standard_normal((n_items, k)), ratings


@given(problems())
@settings(max_examples=60, deadline=None)
def test_rows_are_those_of_the_definition(problem):
    assert_as_defined(*problem)


def test_rows_of_few_and_many_ratings_are_those_of_a_direct_solution():
    """Users with no, one and very many ratings in one block, and linearly dependent factors."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((400, 8)) @ np.diag(np.logspace(0, -1, 8)) @ rng.standard_normal((8, 8))
    counts = rng.permutation(np.repeat([0, 1, 3, 20, 380], 60))
    user = np.repeat(np.arange(len(counts)), counts)
    item = np.concatenate([rng.choice(400, n, replace=False) for n in counts])
    ratings = by_user(user, item, rng.standard_normal(len(user)), len(counts))
    for objective in (
        Objective(lambda_=0.1, bias_lambda=0.5),
        Objective(lambda_=0.1, alpha=2.0, bias=False),
    ):
        assert_as_defined(objective, X, ratings)


@pytest.mark.parametrize("nu", [0.0, 0.5])
def test_a_user_without_ratings_gets_the_prior(nu):
    X, prior = np.eye(4, 3, dtype=np.float32), np.array([2.0, -1.0, 0.5], np.float32)
    ratings = by_user(np.array([1]), np.array([2]), np.ones(1), n_users=2)
    objective = Objective(nu=nu, alpha=2.0, prior_lambda=0.7, bias=False)
    if not nu:
        objective = dataclasses.replace(objective, lambda_=0.0)
    W, _ = solved(objective, X, ratings, prior)
    np.testing.assert_allclose(W[0], prior, rtol=1e-5)
    assert (W[1] != prior).any()


def test_a_user_without_ratings_gets_zeros_and_no_penalty_stays_finite():
    X = np.random.default_rng(0).standard_normal((6, 3), dtype=np.float32)
    objective = Objective(lambda_=0.0, recency=0.5)
    W, b = solved(objective, X, by_user(np.array([0, 2]), np.array([1, 4]), np.ones(2), n_users=3))
    assert not W[1].any()
    assert b[1] == 0
    np.testing.assert_allclose(np.sum(W[[0, 2]] * X[[1, 4]], axis=1) + b[[0, 2]], 1, rtol=1e-4)


@pytest.mark.parametrize("bias", [True, False])
def test_without_penalty_more_factors_than_items_still_fit(bias):
    rng = np.random.default_rng(1)
    X = 30 * rng.standard_normal((6, 20), dtype=np.float32)  # far larger than the smallest penalty
    user = np.repeat(np.arange(40), 3)
    item = np.concatenate([rng.choice(6, 3, replace=False) for _ in range(40)])
    y = rng.standard_normal(120, dtype=np.float32)
    W, b = solved(Objective(lambda_=0.0, bias=bias), X, by_user(user, item, y, n_users=40))
    np.testing.assert_allclose(np.sum(W[user] * X[item], axis=1) + b[user], y, atol=1e-3)


def test_an_offset_of_few_ratings_is_damped():
    X = np.zeros((5, 2), np.float32)  # nothing but the offset can explain a rating
    ratings = by_user(np.zeros(3, int), np.arange(3), np.full(3, 2.0), n_users=1)
    _, b = solved(Objective(bias_lambda=3.0, recency=0.5), X, ratings)
    assert b[0] == pytest.approx(3 * 2 / (3 + 3))
