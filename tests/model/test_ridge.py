"""The exact user rows: where J has no slope left, its ratings weighted by recency."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from cofi_jobs.core.factors import initial_factors
from cofi_jobs.model.cost import cost
from cofi_jobs.model.fit import fit
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.problem import Parameters, Problem
from cofi_jobs.model.ridge import recency_weights

N_USERS, N_ITEMS = 1100, 30  # more users than one block
OBJECTIVES = {
    "rating": Objective(
        "rating", lambda_=0.7, nu=0.5, bias_lambda=3.0, exact_users=True, recency=0.5, steps=2
    ),
    "ranking": Objective(
        "ranking",
        lambda_=0.7,
        nu=0.5,
        alpha=5.0,
        bias=False,
        exact_users=True,
        recency=0.5,
        steps=2,
    ),
    "every option of the ranking model": Objective(
        "ranking",
        lambda_=0.7,
        nu=0.5,
        alpha=0.2,
        alpha_nu=0.0,
        penalty_of_pairs=True,
        prior_lambda=1.3,
        bias=False,
        exact_users=True,
        steps=2,
    ),
}


@pytest.fixture
def problem():
    rng = np.random.default_rng(4)
    user, item = np.nonzero(rng.random((N_USERS, N_ITEMS)) < 0.2)
    order = np.lexsort(
        (rng.random(len(user)), user)
    )  # each user's ratings in a random order of time
    y = rng.standard_normal(len(user), dtype=np.float32)
    return user, item[order], y


def test_weights_by_hand():
    weights = recency_weights(np.array([4, 0, 1]), 0.5)
    plain = np.array([1 / 2, 1 / np.sqrt(3), 1 / np.sqrt(2), 1])
    np.testing.assert_allclose(weights, [*(plain * 4 / plain.sum()), 1], rtol=1e-6)
    np.testing.assert_array_equal(recency_weights(np.array([2, 1]), 0), [1, 1, 1])
    assert len(recency_weights(np.zeros(0, np.int64), 0.5)) == 0


def test_ratings_of_equal_times_share_their_weights():
    counts = np.array([4, 3, 0, 1])
    tied = np.array([False, True, False, True, False, True, True, False])
    plain, weights = recency_weights(counts, 0.7), recency_weights(counts, 0.7, tied)
    shared = [plain[0:2].mean()] * 2 + [plain[2:4].mean()] * 2
    np.testing.assert_allclose(weights, [*shared, 1, 1, 1, 1], rtol=1e-6)
    # Where all times are equal, recency is off, to the last bit.
    np.testing.assert_array_equal(weights[4:], 1)
    no_ties = np.zeros(len(tied), bool)
    np.testing.assert_array_equal(recency_weights(counts, 0.7, no_ties), plain)


@pytest.mark.parametrize("exact_users", [True, False])
def test_a_fit_to_ratings_without_an_order_is_one_without_recency(exact_users, problem):
    user, item, y = problem
    tied = np.append(False, user[1:] == user[:-1])
    start = initial_factors(N_ITEMS, N_USERS, 4, seed=0)
    objective = replace(OBJECTIVES["ranking"], exact_users=exact_users)
    off = replace(objective, recency=0.0)
    fits = [fit(objective, start, user, item, y, tied=tied), fit(off, start, user, item, y)]
    np.testing.assert_array_equal(fits[0].factors.X, fits[1].factors.X)
    np.testing.assert_array_equal(fits[0].factors.W, fits[1].factors.W)


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_training_ends_where_J_has_no_slope_in_the_users_rows(objective, problem):
    user, item, y = problem
    factors = fit(objective, initial_factors(N_ITEMS, N_USERS, 4, seed=0), user, item, y).factors
    X, W, b = (tf.Variable(a.astype(np.float64)) for a in (factors.X, factors.W, factors.b))
    item_counts, user_counts = np.bincount(item), np.bincount(user)
    row_weights = (
        objective.item_penalties(item_counts, objective.pairs_of_item(user_counts, N_ITEMS)),
        objective.user_penalties(user_counts, N_ITEMS),
        objective.alphas(user_counts, N_ITEMS),
    )
    item_penalty, user_penalty, alpha = (tf.constant(a, tf.float64) for a in row_weights)
    weight = recency_weights(user_counts, objective.recency).astype(np.float64)
    with tf.GradientTape() as tape:
        problem = Problem(
            user, item, y.astype(np.float64), item_penalty, user_penalty, objective.bias_lambda,
            objective.prior_lambda, alpha=alpha, weight=weight,
        )  # fmt: skip
        prior = None if factors.prior is None else tf.constant(factors.prior, tf.float64)
        J = cost(Parameters(X, W, b, prior), problem)
    for gradient in tape.gradient(J, [W, b] if objective.bias else [W]):
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), 0, atol=1e-5)
