"""J against a double loop, and its gradients against differences."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from cofi_jobs.model.cost import cost
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.problem import Parameters, Problem

N_USERS, N_ITEMS, N_FACTORS = 5, 4, 3
OBJECTIVES = {
    "textbook": Objective(lambda_=1.5),
    "penalty grows with ratings": Objective(lambda_=0.7, nu=0.5, bias_lambda=2.5),
    "all pairs": Objective(lambda_=0.7, nu=0.5, alpha=3.0, bias=False),
    "all pairs alike, and in the penalty": Objective(
        lambda_=0.7, nu=0.5, alpha=0.4, alpha_nu=0.0, penalty_of_pairs=True, bias=False
    ),
    "prior": Objective(lambda_=0.7, nu=0.5, alpha=3.0, alpha_nu=0.6, prior_lambda=1.3, bias=False),
}


def loop_cost(objective: Objective, parameters: Any, Y: Any, R: Any, C: Any) -> float:
    """The formula, pair by pair."""
    X, W, b, prior = parameters
    J = 0.0
    n_items, n_users = R.shape
    alpha = [
        objective.alpha * (R[:, j].sum() / n_items) ** objective.alpha_nu for j in range(n_users)
    ]
    pairs = int(objective.penalty_of_pairs)
    for i in range(n_items):
        for j in range(n_users):
            score = sum(W[j][k] * X[i][k] for k in range(N_FACTORS))
            if R[i, j]:
                J += C[i, j] * (score + b[j] - Y[i, j]) ** 2 / 2
            J += alpha[j] * score**2 / 2
    for i in range(n_items):
        n = R[i].sum() + pairs * sum(alpha)
        J += objective.lambda_ * n**objective.nu * sum(x * x for x in X[i]) / 2
    for j in range(n_users):
        n = R[:, j].sum() + pairs * n_items * alpha[j]
        J += objective.lambda_ * n**objective.nu * sum(w * w for w in W[j]) / 2
        J += objective.prior_lambda * sum(d * d for d in W[j] - prior) / 2
        J += objective.bias_lambda * b[j] ** 2 / 2
    return J


@pytest.fixture
def problem():
    rng = np.random.default_rng(7)
    X, W, b, prior = (
        rng.normal(size=(N_ITEMS, N_FACTORS)),
        rng.normal(size=(N_USERS, N_FACTORS)),
        rng.normal(size=N_USERS),
        rng.normal(size=N_FACTORS),
    )
    R = rng.random((N_ITEMS, N_USERS)) < 0.6
    return X, W, b, prior, rng.normal(size=R.shape) * 2, R, rng.uniform(0.5, 2, R.shape)


def cost_of(
    objective: Objective,
    parameters: Any,
    data: Any,
    users: slice = slice(None),
    *,
    dense: bool = False,
) -> Any:
    """The cost of some users, numbered from 0 on."""
    X, W, b, prior = parameters
    Y, R, C = (matrix[:, users] for matrix in data)
    item, user = np.nonzero(R)
    share = R.sum() / data[1].sum()
    pairs = objective.pairs_of_item(data[1].sum(axis=0), N_ITEMS)
    item_penalty = share * objective.item_penalties(data[1].sum(axis=1), pairs)
    item_penalty = tf.constant(item_penalty, tf.float64)
    user_penalty = tf.constant(objective.user_penalties(R.sum(axis=0), N_ITEMS), tf.float64)
    alpha = tf.constant(objective.alphas(R.sum(axis=0), N_ITEMS), tf.float64)
    problem = Problem(
        user, item, Y[item, user], item_penalty, user_penalty, objective.bias_lambda,
        objective.prior_lambda, alpha=alpha, weight=C[item, user],
    )  # fmt: skip
    used = prior if objective.prior_lambda else None
    return cost(Parameters(X, W[users], b[users], used), problem, dense=dense)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_cost_is_the_formula(objective, dense, problem):
    *arrays, Y, R, C = problem
    data = Y, R, C
    parameters = [tf.constant(a) for a in arrays]
    expected = pytest.approx(loop_cost(objective, arrays, *data), rel=1e-6)
    assert float(cost_of(objective, parameters, data, dense=dense)) == expected


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_the_costs_of_groups_of_users_add_up_to_that_of_all(objective, problem):
    *arrays, Y, R, C = problem
    data = Y, R, C
    parameters = [tf.constant(a) for a in arrays]
    parts = [
        cost_of(objective, parameters, data, users)
        for users in (slice(2), slice(2, 3), slice(3, None))
    ]
    assert float(sum(parts)) == pytest.approx(loop_cost(objective, arrays, *data), rel=1e-6)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_gradients_are_those_of_small_differences(objective, dense, problem):
    *arrays, Y, R, C = problem
    data = Y, R, C
    variables = [tf.Variable(a) for a in arrays[: 4 if objective.prior_lambda else 3]]
    with tf.GradientTape() as tape:
        J = cost_of(objective, [*variables, None][:4], data, dense=dense)
    for position, gradient in enumerate(tape.gradient(J, variables)):
        numeric = np.zeros_like(arrays[position])
        for index in np.ndindex(numeric.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [array.copy() for array in arrays]
                moved[position][index] += step
                ends.append(loop_cost(objective, moved, *data))
            numeric[index] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(tf.convert_to_tensor(gradient), numeric, rtol=1e-5, atol=1e-6)
