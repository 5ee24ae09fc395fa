"""Baselines against plain formulas."""

import numpy as np
import pandas as pd
import pytest

from cofi_jobs.core.arrays import tally
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation import baselines
from tests.support.ratings import drawn, pairs


def test_damped_means_are_those_of_the_formula():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {"u": np.sort(rng.integers(20, size=300)), "i": rng.integers(15, size=300)}
    )
    frame["r"] = rng.integers(1, 6, 300).astype(float)
    mean = frame["r"].mean()
    by_item = (frame["r"] - mean).groupby(frame["i"])
    b_item = (by_item.sum() / (by_item.size() + 5)).reindex(range(16), fill_value=0)
    by_user = (frame["r"] - mean - b_item[frame["i"]].to_numpy()).groupby(frame["u"])
    b_user = by_user.sum() / (by_user.size() + 5)
    train = Ratings(frame["u"].to_numpy(), frame["i"].to_numpy(), frame["r"].to_numpy(), 20, 16)
    test = pairs([0, 3, 19], [15, 2, 7], 20, 16)  # nobody has rated item 15
    expected = [mean + b_user[u] + b_item[i] for u, i in ((0, 15), (3, 2), (19, 7))]
    counts = tally(train.item_index, 16), tally(train.item_index, 16, train.rating)
    predicted = baselines.Biases.of(*counts).predicted(train, test)
    np.testing.assert_allclose(predicted, expected, rtol=1e-6)


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_item_knn_is_that_of_the_dense_formula(monkeypatch, at_once):
    monkeypatch.setattr(baselines, "USERS_AT_ONCE", at_once)
    monkeypatch.setattr(baselines, "block_size", lambda _: at_once)
    relevant, _, _ = drawn(120, 50, seed=4)
    A = np.zeros((120, 50))
    A[relevant.user_index, relevant.item_index] = 1
    norms = np.sqrt(A.sum(axis=0))
    cosine = A.T @ A / np.maximum(np.outer(norms, norms), 1e-9)
    np.fill_diagonal(cosine, 0)
    order = np.argsort(-np.round(cosine, 12), axis=1, kind="stable")
    near = np.zeros_like(cosine)
    np.put_along_axis(near, order[:, :8], np.take_along_axis(cosine, order[:, :8], axis=1), axis=1)
    scores = baselines.item_knn(baselines.near_items(relevant, n_neighbours=8))
    halves = [scores(np.arange(70)), scores(np.arange(70, 120))]
    np.testing.assert_allclose(np.concatenate(halves), A @ near.T, atol=1e-6)


def test_of_a_long_history_the_newest_count(monkeypatch):
    monkeypatch.setattr(baselines, "LONGEST_HISTORY", 2)
    relevant = pairs([0, 0, 0, 1, 1], [0, 1, 2, 1, 2])
    scores = baselines.item_knn(baselines.near_items(relevant))(np.arange(3))
    np.testing.assert_allclose(
        scores[:2], [[0, 1, 1, 0, 0, 0]] * 2
    )  # as if user 0 had never seen item 0
    assert not scores[2].any()
