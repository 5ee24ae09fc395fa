"""Gradients step after step: which users a step takes, in chunks of any size."""

from dataclasses import replace

import numpy as np
import pytest

from cofi_jobs.core.factors import initial_factors
from cofi_jobs.model import shards
from cofi_jobs.model.chunks import chunks
from cofi_jobs.model.fit import fit
from cofi_jobs.model.objectives import Objective
from tests.support.ratings_matrix import planted


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective",
    [Objective(lambda_=0.5, nu=0.5), Objective(lambda_=0.5, nu=0.5, alpha=3.0, bias=False)],
)
def test_a_step_is_the_same_however_many_ratings_are_worked_on_at_once(objective, monkeypatch):
    truth, seen = planted()
    user, item = np.nonzero(seen)
    objective = replace(objective, exact_users=True, recency=0.5, steps=5, learning_rate=0.01)
    results = []
    for chunk in (10**6, 100):
        monkeypatch.setattr(shards, "CHUNK", chunk)
        results.append(fit(objective, initial_factors(60, 80, 3, seed=0), user, item, truth[seen]))
    np.testing.assert_allclose(results[0].losses, results[1].losses, rtol=1e-4)
    np.testing.assert_allclose(results[0].factors.X, results[1].factors.X, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("exact_users", [False, True])
def test_few_ratings_of_many_users_and_items_need_no_products_of_all(exact_users):
    n, rng = 1000, np.random.default_rng(0)  # all products would be 320 GB
    user, item = np.sort(rng.integers(0, 400_000, n)), rng.integers(0, 200_000, n)
    objective = Objective(lambda_=0.1, exact_users=exact_users, steps=1, learning_rate=0.01)
    result = fit(objective, initial_factors(200_000, 400_000, 2, seed=0), user, item, np.ones(n))
    assert np.isfinite(result.losses).all()


def test_groups_that_would_be_empty_are_left_out():
    assert chunks(np.array([9]), 4) == [slice(0, 1)]


def test_a_draw_without_users_is_no_step():
    """With fewer users than steps in a round, each step has a user all the same."""
    user, item = np.repeat([0, 1], 20), np.tile(np.arange(20), 2)
    y = np.random.default_rng(0).normal(size=40).astype(np.float32)
    objective = Objective(exact_users=True, ratings_per_step=4, steps=6, learning_rate=0.01)
    result = fit(objective, initial_factors(20, 2, 3, seed=0), user, item, y)
    assert len(result.losses) == 6
    assert np.isfinite(result.losses).all()
