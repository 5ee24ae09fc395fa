"""Measures against values worked out by hand."""

import numpy as np
import pytest

from cofi_jobs.evaluate import newest_of_each_user, ranking_metrics, rmse
from cofi_jobs.model import Ratings


def pairs(users, items, n_users: int = 3, n_items: int = 6) -> Ratings:
    return Ratings(np.array(users, np.int32), np.array(items, np.int32), np.ones(len(users)), n_users, n_items)


def test_the_newest_share_of_each_user_is_held_out():
    user_index = np.array([0] * 10 + [1] * 3 + [2] + [4] * 5)
    mask = newest_of_each_user(user_index, 0.2)
    assert mask.nonzero()[0].tolist() == [8, 9, 12, 18]  # two of ten, at least one, never a user's only rating


def test_rmse_by_hand():
    assert rmse(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == pytest.approx(np.sqrt(2))
    assert rmse(np.array([]), np.array([])) is None


def test_ndcg_and_recall_by_hand():
    scores = np.array([[9, 8, 7, 6, 5, 4], [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]], np.float32)
    known = pairs([0, 1], [0, 5])  # so user 0 gets 1, 2, 3, 4, 5 and user 1 gets 4, 3, 2, 1, 0
    wanted = pairs([0, 0, 1], [2, 5, 0])
    result = ranking_metrics(lambda users: scores[users].copy(), known, wanted, ndcg_at=3, recall_at=3)
    # User 0: item 2 at rank 2, item 5 not among three. User 1: item 0 at rank 5. User 2 wants nothing.
    ndcg = (1 / np.log2(3)) / (1 + 1 / np.log2(3))
    assert result == {"ndcg@3": pytest.approx(ndcg / 2), "recall@3": pytest.approx(0.25), "users": 2}


def test_a_perfect_ranking_scores_one():
    scores = np.array([[3, 2, 1, 0, 0, 0]] * 3, np.float32)
    result = ranking_metrics(lambda users: scores[users].copy(), pairs([], []), pairs([0, 0, 2], [0, 1, 0]))
    assert result["ndcg@10"] == pytest.approx(1)
    assert result["recall@20"] == pytest.approx(1)


def test_nothing_wanted_is_no_measure():
    scores = np.zeros((3, 6), np.float32)
    result = ranking_metrics(lambda users: scores[users].copy(), pairs([0], [0]), pairs([], []))
    assert result["ndcg@10"] is None
    assert result["users"] == 0
