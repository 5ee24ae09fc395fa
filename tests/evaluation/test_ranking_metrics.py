"""Measures of rankings against ranx and by hand."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cofi_jobs.evaluation.metrics import mean_of
from cofi_jobs.evaluation.ranking_metrics import rank
from cofi_jobs.ranking.top_k import block_size
from tests.support.ratings import drawn, pairs

# ranx compiles its metrics for minutes. Without that they are the same code, and quick enough.
RANX = """
import json, sys, warnings
from ranx import Qrels, Run, evaluate
relevant, lists, names = json.load(sys.stdin)
values_of = evaluate(Qrels(relevant), Run(lists), names, return_mean=False)
print(json.dumps({name: list(map(float, values)) for name, values in values_of.items()}))
"""


@pytest.fixture(scope="module")
def reference() -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """What ranx says of the lists of a full sort, and what `rank` says of the scores; by user."""
    n_users, n_items = block_size(400) + 60, 400  # two blocks
    train, relevant, scores = drawn(n_users, n_items)
    measures = rank(
        lambda users: scores[users].copy(),
        train,
        relevant,
        np.eye(n_items, dtype=np.float32),
        10,
        20,
    )
    masked = scores.copy()
    masked[train.user_index, train.item_index] = -np.inf
    best = np.argsort(-masked, axis=1, kind="stable")[:, :50]
    qrels: dict[str, dict[str, int]] = {}
    for user, item in zip(relevant.user_index.tolist(), relevant.item_index.tolist(), strict=True):
        qrels.setdefault(str(user), {})[str(item)] = 1
    lists = {
        user: {str(item): float(-place) for place, item in enumerate(best[int(user)])}
        for user in qrels
    }
    names = ["ndcg@10", "recall@20", "map@10", "mrr@10", "hit_rate@10"]
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RANX],
        input=json.dumps([qrels, lists, names]),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    users = [int(user) for user in qrels]
    measured = pd.DataFrame({name: measures.by_user[name.partition("@")[0]] for name in names})
    assert measured.notna().all(axis=1).to_numpy().nonzero()[0].tolist() == sorted(users)
    # ranx sorts its users by their names, as text
    return json.loads(ended.stdout), measured.loc[sorted(users, key=str)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ndcg@10", "recall@20", "map@10", "mrr@10", "hit_rate@10"])
def test_each_users_measures_are_those_of_ranx(reference, name):
    expected, measured = reference
    assert 0 < np.mean(expected[name]) < 1
    np.testing.assert_allclose(measured[name], expected[name], atol=1e-6)
    assert mean_of(measured[name].to_numpy()).value() == pytest.approx(
        np.mean(expected[name]), abs=1e-6
    )


def test_of_some_users_alone_measures_are_the_same():
    train, relevant, values = drawn(1100, 40)
    some = np.sort(np.random.default_rng(1).choice(1100, 300, replace=False))
    every, few = (
        rank(lambda users: values[users].copy(), train, relevant, values.T, users=of)
        for of in (None, some)
    )
    for name, measured in few.by_user.items():
        np.testing.assert_array_equal(measured[some], every.by_user[name][some])
        assert np.isnan(np.delete(measured, some)).all()
    assert few.shown.sum() < every.shown.sum()


def test_measures_by_hand():
    scores = np.array([[9, 8, 7, 6, 5, 4], [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]], np.float32)
    train = pairs([0, 1], [0, 5])  # so user 0 gets 1, 2, 3, 4, 5 and user 1 gets 4, 3, 2, 1, 0
    relevant = pairs([0, 0, 1], [2, 5, 0])
    vectors = np.array([[1, 0], [2, 0], [0, 1], [0, 3], [1, 0], [0, 1]], np.float32)
    measures = rank(
        lambda users: scores[users].copy(), train, relevant, vectors, ndcg_at=3, recall_at=3
    )
    # User 0: item 2 at rank 2, item 5 not among three. User 1: item 0 at rank 5.
    # User 2 has no train rating.
    ndcg = (1 / np.log2(3)) / (1 + 1 / np.log2(3))
    expected = {
        "ndcg": [ndcg, 0],
        "recall": [0.5, 0],
        "map": [0.25, 0],
        "mrr": [0.5, 0],
        "hit_rate": [1, 0],
        "novelty": [np.log2(3), np.log2(3)],  # nobody or one of three knows each of them
        "similarity": [1 / 3, 1 / 3],  # of three pairs of items one points the same way
    }
    for name, values in expected.items():
        np.testing.assert_allclose(
            measures.by_user[name], [*values, np.nan], rtol=1e-6, err_msg=name
        )
    assert measures.shown.tolist() == [0, 1, 2, 2, 1, 0]
    assert measures.hits.tolist() == [0, 0, 1, 0, 0, 0]


def test_nothing_wanted_is_no_measure():
    measures = rank(
        lambda users: np.zeros((3, 6), np.float32), pairs([0], [0]), pairs([], []), np.eye(6)
    )
    assert mean_of(measures.by_user["ndcg"]).value() is None
