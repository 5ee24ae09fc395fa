"""Measures against ranx and by hand, baselines against plain formulas, intervals against the normal distribution."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation import baselines
from cofi_jobs.evaluation.metrics import Mean, errors, intervals, mean_of, rank
from cofi_jobs.evaluation.split import newest_days, newest_of_each_user
from cofi_jobs.ranking.top_k import block_size

# ranx compiles its metrics, for minutes; without that they are the same code, and quick enough here.
RANX = """
import json, sys, warnings
from ranx import Qrels, Run, evaluate
wanted, lists, names = json.load(sys.stdin)
found = evaluate(Qrels(wanted), Run(lists), names, return_mean=False)
print(json.dumps({name: list(map(float, values)) for name, values in found.items()}))
"""


def pairs(users, items, n_users: int = 3, n_items: int = 6) -> Ratings:
    return Ratings(
        np.array(users, np.int32), np.array(items, np.int32), np.ones(len(users)), n_users, n_items
    )


def drawn(n_users: int, n_items: int, seed: int = 0) -> tuple[Ratings, Ratings, np.ndarray]:
    """Known and wanted pairs that do not overlap, sorted by user, and scores with ties."""
    rng = np.random.default_rng(seed)
    chance = rng.random((n_users, n_items))
    known, wanted = np.nonzero(chance < 0.1), np.nonzero(chance > 0.93)
    scores = np.round(rng.standard_normal((n_users, n_items)), 1).astype(np.float32)
    known_pairs, wanted_pairs = (
        pairs(users, items, n_users, n_items) for users, items in (known, wanted)
    )
    return known_pairs, wanted_pairs, scores


# ---- what is held out


def test_the_newest_share_of_each_user_is_held_out():
    user_index = np.array([0] * 10 + [1] * 3 + [2] + [4] * 5)
    mask = newest_of_each_user(user_index, 0.2)
    assert mask.nonzero()[0].tolist() == [
        8,
        9,
        12,
        18,
    ]  # two of ten, at least one, never a user's only rating


def test_the_ratings_of_the_last_days_are_held_out():
    time = np.array(
        ["2026-01-01", "NaT", "2026-01-09T12:00", "2026-01-10", "2026-01-08"], "datetime64[us]"
    )
    assert newest_days(time, 1).tolist() == [False, False, True, True, False]
    assert not newest_days(np.full(3, "NaT", "datetime64[us]"), 1).any()
    with pytest.raises(
        DataError, match="found no rating older than the 30 days that test_days holds out"
    ):
        newest_days(time[[0, 2]], 30)


# ---- measures


@pytest.fixture(scope="module")
def reference() -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """What ranx says of the lists of a full sort, and what `rank` says of the scores; by user."""
    n_users, n_items = block_size(400) + 60, 400  # two blocks
    known, wanted, scores = drawn(n_users, n_items)
    found = rank(
        lambda users: scores[users].copy(), known, wanted, np.eye(n_items, dtype=np.float32), 10, 20
    )
    masked = scores.copy()
    masked[known.user_index, known.item_index] = -np.inf
    best = np.argsort(-masked, axis=1, kind="stable")[:, :50]
    qrels: dict[str, dict[str, int]] = {}
    for user, item in zip(wanted.user_index.tolist(), wanted.item_index.tolist(), strict=True):
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
    own = pd.DataFrame({name: found.by_user[name.partition("@")[0]] for name in names})
    assert own.notna().all(axis=1).to_numpy().nonzero()[0].tolist() == sorted(users)
    # ranx sorts its users by their names, as text
    return json.loads(ended.stdout), own.loc[sorted(users, key=str)]


@pytest.mark.parametrize("name", ["ndcg@10", "recall@20", "map@10", "mrr@10", "hit_rate@10"])
def test_each_users_measures_are_those_of_ranx(reference, name):
    expected, own = reference
    assert 0 < np.mean(expected[name]) < 1
    np.testing.assert_allclose(own[name], expected[name], atol=1e-6)
    assert mean_of(own[name].to_numpy()).value() == pytest.approx(np.mean(expected[name]), abs=1e-6)


def test_of_some_users_alone_measures_are_the_same():
    known, wanted, values = drawn(1100, 40)
    some = np.sort(np.random.default_rng(1).choice(1100, 300, replace=False))
    every, few = (
        rank(lambda users: values[users].copy(), known, wanted, values.T, users=of)
        for of in (None, some)
    )
    for name, measured in few.by_user.items():
        np.testing.assert_array_equal(measured[some], every.by_user[name][some])
        assert np.isnan(np.delete(measured, some)).all()
    assert few.shown.sum() < every.shown.sum()


def test_measures_by_hand():
    scores = np.array([[9, 8, 7, 6, 5, 4], [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]], np.float32)
    known = pairs([0, 1], [0, 5])  # so user 0 gets 1, 2, 3, 4, 5 and user 1 gets 4, 3, 2, 1, 0
    wanted = pairs([0, 0, 1], [2, 5, 0])
    vectors = np.array([[1, 0], [2, 0], [0, 1], [0, 3], [1, 0], [0, 1]], np.float32)
    found = rank(lambda users: scores[users].copy(), known, wanted, vectors, ndcg_at=3, recall_at=3)
    # User 0: item 2 at rank 2, item 5 not among three. User 1: item 0 at rank 5. User 2 is not known.
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
        np.testing.assert_allclose(found.by_user[name], [*values, np.nan], rtol=1e-6, err_msg=name)
    assert found.shown.tolist() == [0, 1, 2, 2, 1, 0]
    assert found.found.tolist() == [0, 0, 1, 0, 0, 0]


def test_nothing_wanted_is_no_measure():
    found = rank(
        lambda users: np.zeros((3, 6), np.float32), pairs([0], [0]), pairs([], []), np.eye(6)
    )
    assert mean_of(found.by_user["ndcg"]).value() is None
    assert errors(np.array([]), pairs([], []))["rmse"].value() is None


def test_rmse_and_mae_by_hand():
    held_out = Ratings(np.array([0, 0, 2]), np.array([0, 1, 0]), np.array([1.0, 4.0, 3.0]), 3, 2)
    found = errors(np.array([1.0, 2.0, 2.0]), held_out)
    assert found["rmse"].value() == pytest.approx(np.sqrt(5 / 3))
    assert found["mae"].value() == pytest.approx(1)
    assert found["rmse"].of(np.array([True, False, False])).value() == pytest.approx(np.sqrt(2))


# ---- intervals


@pytest.mark.parametrize("n_users", [2_000, 50_000])  # beyond 20,000 users are put together
def test_intervals_are_those_of_the_normal_distribution(n_users):
    rng = np.random.default_rng(0)
    first = rng.exponential(size=n_users)
    second = first + rng.normal(0.1, 0.5, n_users)
    missing = rng.random(n_users) < 0.3
    one, other = (mean_of(np.where(missing, np.nan, values)) for values in (first, second))
    found = intervals({"own": one}, {"pair": (one, other)}, seed=1)
    kept, difference = first[~missing], (first - second)[~missing]
    for name, values in (("own", kept), ("pair", difference)):
        half = 1.96 * values.std() / np.sqrt(len(values))
        np.testing.assert_allclose(
            np.array(found[name], float),
            [values.mean() - half, values.mean() + half],
            atol=0.25 * half,
        )
    assert found == intervals({"own": one}, {"pair": (one, other)}, seed=1)
    assert found != intervals({"own": one}, {"pair": (one, other)}, seed=2)


def test_an_interval_of_rmse_draws_users_with_all_their_ratings():
    n = np.full(300, 10.0)
    error = np.random.default_rng(0).exponential(size=300)  # each user's ten errors are alike
    [(low, high)] = intervals({"rmse": Mean(n * error**2, n, root=True)}, {}, seed=0).values()
    assert low is not None
    assert high is not None
    half = 1.96 * (error**2).std() / np.sqrt(300) / (2 * np.sqrt((error**2).mean()))
    assert high - low == pytest.approx(2 * half, rel=0.15)


def test_nothing_has_no_interval():
    nothing = Mean(np.zeros(3), np.zeros(3))
    assert intervals({"a": nothing}, {"b": (nothing, nothing)}, seed=0) == {
        "a": (None, None),
        "b": (None, None),
    }


# ---- baselines


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
    known = Ratings(frame["u"].to_numpy(), frame["i"].to_numpy(), frame["r"].to_numpy(), 20, 16)
    held_out = pairs([0, 3, 19], [15, 2, 7], 20, 16)  # nobody has rated item 15
    expected = [mean + b_user[u] + b_item[i] for u, i in ((0, 15), (3, 2), (19, 7))]
    np.testing.assert_allclose(baselines.damped_means(known, held_out), expected, rtol=1e-6)


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_item_knn_is_that_of_the_dense_formula(monkeypatch, at_once):
    monkeypatch.setattr(baselines, "USERS_AT_ONCE", at_once)
    monkeypatch.setattr(baselines, "block_size", lambda _: at_once)
    liked, _, _ = drawn(120, 50, seed=4)
    A = np.zeros((120, 50))
    A[liked.user_index, liked.item_index] = 1
    norms = np.sqrt(A.sum(axis=0))
    cosine = A.T @ A / np.maximum(np.outer(norms, norms), 1e-9)
    np.fill_diagonal(cosine, 0)
    order = np.argsort(-np.round(cosine, 12), axis=1, kind="stable")
    near = np.zeros_like(cosine)
    np.put_along_axis(near, order[:, :8], np.take_along_axis(cosine, order[:, :8], axis=1), axis=1)
    scores = baselines.item_knn(liked, n_neighbours=8)
    halves = [scores(np.arange(70)), scores(np.arange(70, 120))]
    np.testing.assert_allclose(np.concatenate(halves), A @ near.T, atol=1e-6)


def test_of_a_long_history_the_newest_count(monkeypatch):
    monkeypatch.setattr(baselines, "LONGEST_HISTORY", 2)
    scores = baselines.item_knn(pairs([0, 0, 0, 1, 1], [0, 1, 2, 1, 2]))(np.arange(3))
    np.testing.assert_allclose(
        scores[:2], [[0, 1, 1, 0, 0, 0]] * 2
    )  # as if user 0 had never seen item 0
    assert not scores[2].any()
