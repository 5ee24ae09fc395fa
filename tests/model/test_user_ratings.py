"""Ratings sorted by user, and those of groups of users."""

import numpy as np

from cofi_jobs.model.user_ratings import by_user

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
