"""Ratings by user, and the problems of groups of users, which add up to that of all."""

import numpy as np
import pytest
import tensorflow as tf

from cofi_jobs.core.factors import initial_factors
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.problem import Parameters, by_user, problem
from cofi_jobs.model.training_step import cost_and_gradients

RATINGS = by_user(
    user_index=np.array([2, 0, 2, 3, 0, 2]),
    item_index=np.array([1, 2, 0, 3, 0, 3]),
    y=np.array([1.0, 2, 3, 4, 5, 6]),
    n_users=4,
)


def test_ratings_are_sorted_by_user_and_keep_their_order_of_time():
    assert RATINGS.counts.tolist() == [2, 0, 3, 1]
    assert RATINGS.user_index.tolist() == [0, 0, 2, 2, 2, 3]
    assert RATINGS.item_index.tolist() == [2, 0, 1, 0, 3, 3]
    assert RATINGS.y.tolist() == [2, 5, 1, 3, 6, 4]


def test_users_of_a_group_are_numbered_in_the_order_given():
    group = RATINGS.of_users(np.array([3, 0]))
    assert (group.counts.tolist(), group.user_index.tolist()) == ([1, 2], [0, 1, 1])
    assert (group.item_index.tolist(), group.y.tolist()) == ([3, 2, 0], [4, 2, 5])
    neighbours = RATINGS.between(1, 3)
    assert (neighbours.counts.tolist(), neighbours.user_index.tolist()) == ([0, 3], [1, 1, 1])
    assert (neighbours.item_index.tolist(), neighbours.y.tolist()) == ([1, 0, 3], [1, 3, 6])


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
