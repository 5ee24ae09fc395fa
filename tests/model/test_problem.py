"""The problems of groups of users, which add up to that of all."""

import numpy as np
import pytest
import tensorflow as tf

from cofi_jobs.core.factors import initial_factors
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.problem import Parameters, problem
from cofi_jobs.model.training_step import cost_and_gradients
from cofi_jobs.model.user_ratings import by_user

RATINGS = by_user(
    user_index=np.array([2, 0, 2, 3, 0, 2]),
    item_index=np.array([1, 2, 0, 3, 0, 3]),
    y=np.array([1.0, 2, 3, 4, 5, 6]),
    n_users=4,
)


@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_costs_and_gradients_of_groups_of_users_add_up_to_those_of_all(alpha):
    objective = Objective(lambda_=0.7, nu=0.5, alpha=alpha, bias_lambda=2.0)
    item_counts = np.bincount(RATINGS.item_index)
    X, W, _ = (tf.constant(part) for part in vars(initial_factors(4, 4, 3, seed=1)).values())
    b = tf.constant([0.5, -1, 2, 0])

    def at(users: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        part = problem(objective, RATINGS.of_users(users), item_counts)
        parameters = Parameters(X, tf.gather(W, users), tf.gather(b, users))
        J, [gradient] = cost_and_gradients(parameters, part, n_learned=1)
        return J, gradient

    whole, *groups = (at(np.array(users)) for users in ([0, 1, 2, 3], [3, 1], [2], [0]))
    for total, parts in zip(whole, zip(*groups, strict=True), strict=True):
        np.testing.assert_allclose(sum(parts), total, rtol=1e-5, atol=1e-6)
