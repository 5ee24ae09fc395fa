"""Lists of users: the reason of each place, and the popular items."""

import numpy as np
import pandas as pd
import pytest

from cofi_jobs.ranking.recommendations import most_liked
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.reader import current_run
from cofi_jobs.store.run_tables import read_model
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night


def scores_after_a_refit(X, y, weights, rated, keep, alpha, penalty, prior_penalty, prior):
    """All items' scores by the row that fits the ratings kept: J written out."""
    A, right = (
        alpha * X.T @ X + (penalty + prior_penalty) * np.eye(X.shape[1]),
        np.zeros(X.shape[1]),
    )
    for item, target, weight, kept in zip(rated, y, weights, keep, strict=True):
        if kept:
            A += weight * np.outer(X[item], X[item])
            right += weight * target * X[item]
    return X @ np.linalg.solve(A, right + prior_penalty * prior)


@pytest.mark.slow
def test_without_the_reason_a_recommended_item_loses_most(store):
    write_ratings(store.landing / "ratings.csv", random_ratings(n_items=40))
    settings = load_settings([*QUICK, "ranking_steps=20"])
    run_night(store, settings, "n1")
    run = current_run(store)
    items, X = (
        run.items().to_pandas(),
        np.stack(run.item_factors().to_pandas()["ranking_factors"]).astype(float),
    )
    prior = read_model(store.table("n1", "model")).ranking.prior
    row_of = dict(zip(items["item_id"], items["item_index"], strict=True))
    ratings, reasons = pd.read_parquet(store.table("n1", "normalized") / "ratings.parquet"), 0
    for user in run.users().to_pylist():
        given = ratings[ratings["user_index"] == user["user_index"]]
        rated, stars = given["item_index"].to_numpy(), given["rating"].to_numpy()
        age = np.arange(len(given), 0, -1) ** -settings.recency
        weights, y = age * len(given) / age.sum(), ((stars - 1) / 4 - 0.25) / 0.75
        row = (X, y, weights, rated)
        strength = (
            settings.ranking_alpha * len(given) / len(X),
            settings.ranking_lambda * len(given) ** settings.ranking_nu,
            settings.ranking_prior_lambda,
            prior,
        )
        whole = scores_after_a_refit(*row, np.ones(len(given), bool), *strength)
        falls = np.array(
            [whole - scores_after_a_refit(*row, rated != gone, *strength) for gone in rated]
        )
        falls[stars < run.manifest["liked_from"]] = -np.inf
        for recommended in run.recommendations(str(user["user_id"])).to_pylist():
            assert recommended["score"] == pytest.approx(
                whole[row_of[recommended["item_id"]]], abs=1e-4
            )
            fall = falls[:, row_of[recommended["item_id"]]]
            if recommended["because_item_id"] is None:
                assert fall.max() <= 1e-5
            else:
                [place] = np.flatnonzero(rated == row_of[recommended["because_item_id"]])
                assert fall[place] >= fall.max() - 1e-5
                assert fall[place] > 0
                reasons += 1
    assert reasons > 100


def test_most_liked_items_of_those_that_may_be_shown():
    likes = np.array([3, 9, 0, 3, 5], np.float32)
    best, n_likes = most_liked(likes, np.array([1]), 10)
    assert best.tolist() == [4, 0, 3, 2]  # of equal numbers the lower row first
    assert n_likes.tolist() == [5, 3, 3, 0]
