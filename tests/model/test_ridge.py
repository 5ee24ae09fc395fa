"""The exact user rows: where J has no slope left, its ratings weighted by recency."""

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


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_training_ends_where_J_has_no_slope_in_the_users_rows(objective, problem):
    user, item, y = problem
    factors = fit(objective, initial_factors(N_ITEMS, N_USERS, 4, seed=0), user, item, y).factors
    X, W, b = (tf.Variable(a.astype(np.float64)) for a in (factors.X, factors.W, factors.b))
    item_counts, user_counts = np.bincount(item), np.bincount(user)
    row_weights = (
        objective.penalties(item_counts),
        objective.penalties(user_counts),
        objective.alphas(user_counts, N_ITEMS),
    )
    item_penalty, user_penalty, alpha = (tf.constant(a, tf.float64) for a in row_weights)
    weight = recency_weights(user_counts, objective.recency).astype(np.float64)
    with tf.GradientTape() as tape:
        problem = Problem(
            user, item, y.astype(np.float64), item_penalty, user_penalty, objective.bias_lambda,
            alpha=alpha, weight=weight,
        )  # fmt: skip
        J = cost(Parameters(X, W, b), problem)
    for gradient in tape.gradient(J, [W, b] if objective.bias else [W]):
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), 0, atol=1e-5)
