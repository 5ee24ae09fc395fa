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


@pytest.mark.parametrize(
    "options",
    [{}, {"alpha": 3.0}, {"alpha": 0.3, "alpha_nu": 0.0, "penalty_of_pairs": True}],
)
def test_costs_and_gradients_of_groups_of_users_add_up_to_those_of_all(options):
    objective = Objective(lambda_=0.7, nu=0.5, bias_lambda=2.0, prior_lambda=0.4, **options)
    pairs = objective.pairs_of_item(RATINGS.counts, 4)
    item_penalty = objective.item_penalties(np.bincount(RATINGS.item_index), pairs)
    initial = initial_factors(4, 4, 3, seed=1)
    b, prior = tf.constant([0.5, -1, 2, 0]), tf.constant([0.3, -0.2, 0.1])

    def at(users: np.ndarray) -> tuple[tf.Tensor, ...]:
        ratings = RATINGS.of_users(users)
        part = problem(objective, ratings, item_penalty, len(ratings.y) / len(RATINGS.y))
        parameters = Parameters(
            tf.constant(initial.X), tf.constant(initial.W[users]), tf.gather(b, users), prior
        )
        J, gradients = cost_and_gradients(parameters, part, learned=("X", "prior"))
        return J, *gradients

    whole, *groups = (at(np.array(users)) for users in ([0, 1, 2, 3], [3, 1], [2], [0]))
    for total, parts in zip(whole, zip(*groups, strict=True), strict=True):
        np.testing.assert_allclose(sum(parts), total, rtol=1e-5, atol=1e-6)
