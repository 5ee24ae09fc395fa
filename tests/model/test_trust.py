"""Trust in accounts: who has less of it, and what it weighs in J, in X and in means."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.factors import initial_factors
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.cost import cost
from cofi_jobs.model.fit import Fit, fit
from cofi_jobs.model.item_means import item_means
from cofi_jobs.model.models import fit_ranking_model
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.observations import Observations
from cofi_jobs.model.problem import Parameters, problem
from cofi_jobs.model.row_solver import RowSolver
from cofi_jobs.model.trust import account_trust
from cofi_jobs.model.user_ratings import UserRatings, by_user
from cofi_jobs.settings.resolve import load_settings

DAY = np.timedelta64(1, "D")
NEWEST = np.datetime64("2026-01-01T00:00:00")
N_USERS, N_ITEMS, N_FACTORS = 8, 6, 3
OBJECTIVES = {
    "rating": Objective(lambda_=0.7, nu=0.5, bias_lambda=2.0, steps=6, exact_users=True),
    "ranking": Objective(
        lambda_=0.7, nu=0.5, alpha=3.0, bias=False, prior_lambda=0.6, steps=6, exact_users=True
    ),
    "penalty of pairs": Objective(
        alpha=0.4, nu=0.5, alpha_nu=0.0, penalty_of_pairs=True, bias=False, steps=6,
        exact_users=True,
    ),
    "all parts by Adam": Objective(lambda_=0.7, nu=0.5, bias_lambda=2.0, prior_lambda=0.6, steps=6),
}  # fmt: skip


def trust_of(n_ratings: list[int], ages: list[float | None], days: float = 30) -> list[float]:
    """Trust at a weight of 0.1, by numbers of ratings and days since the first of them."""
    first = [
        NEWEST - np.timedelta64(round(a * 86_400), "s") if a is not None else "NaT" for a in ages
    ]
    times = np.array(first, "datetime64[s]")
    trust = account_trust(np.array(n_ratings), times, NEWEST, 0.1, days)
    return [round(float(t), 3) for t in trust]


def test_accounts_that_are_new_or_have_rated_once_are_trusted_less():
    assert trust_of([5, 5, 5, 1, 2], [1000, 31, 29, 1000, 1000]) == [1, 1, 0.1, 0.1, 1]


def test_in_a_young_store_only_the_last_tenth_is_new():
    assert trust_of([5, 5, 5], [20, 2.5, 1.5]) == [1, 1, 0.1]
    assert trust_of([5, 5], [0, 0]) == [1, 1]  # all came at once


def test_without_times_only_numbers_of_ratings_count():
    assert trust_of([5, 1, 3], [None, None, None]) == [1, 0.1, 1]
    assert trust_of([5, 5, 5], [None, 1000, 1]) == [1, 1, 0.1]
    assert trust_of([5, 5], [1000, 0], days=0) == [1, 1]


def some_ratings(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User, item and y of ratings; each user has some."""
    rng = np.random.default_rng(seed)
    rated = rng.random((N_USERS, N_ITEMS)) < 0.5
    rated[:, 0] = True
    user, item = np.nonzero(rated)
    return user, item, rng.normal(size=len(user)).astype(np.float32)


def ratings_with(trust: np.ndarray | None, confidence: bool = False) -> UserRatings:
    user, item, y = some_ratings()
    c = np.linspace(1, 3, len(y), dtype=np.float32) if confidence else None
    return by_user(user, item, y, N_USERS, c, trust=trust)


@pytest.mark.parametrize("confidence", [False, True])
@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_all_that_J_says_of_a_user_weighs_as_much_as_the_user_is_trusted(objective, confidence):
    trust = np.linspace(0.1, 1, N_USERS).astype(np.float32)
    start = initial_factors(N_ITEMS, N_USERS, N_FACTORS, seed=3)
    X, W, b = 9 * start.X, 9 * start.W, np.linspace(-1, 1, N_USERS).astype(np.float32)
    prior = np.full(N_FACTORS, 0.3, np.float32)
    item_penalty = np.linspace(1, 2, N_ITEMS).astype(np.float32)

    def J_of(users: np.ndarray, ratings: UserRatings, penalty: np.ndarray) -> float:
        parameters = Parameters(X, W[users], b[users], prior)
        return float(cost(parameters, problem(objective, ratings.of_users(users), penalty)))

    plain, everyone = ratings_with(None, confidence), np.arange(N_USERS)
    of_users = [J_of(np.array([user]), plain, 0 * item_penalty) for user in everyone]
    of_items = float((item_penalty[:, None] * X**2).sum() / 2)
    J = J_of(everyone, ratings_with(trust, confidence), item_penalty)
    assert pytest.approx(trust @ of_users + of_items, rel=1e-5) == J


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
def test_a_user_who_is_trusted_twice_as_much_is_as_good_as_two(objective):
    user, item, y = some_ratings()
    twice = np.array([True, False] * (N_USERS // 2))
    start = initial_factors(N_ITEMS, N_USERS + twice.sum(), N_FACTORS, seed=1)
    copies = np.append(np.arange(N_USERS), np.flatnonzero(twice))
    start = replace(start, W=start.W[copies], X=9 * start.X)
    again = twice[user]
    number = np.append(user, N_USERS + (np.cumsum(twice) - 1)[user[again]])
    columns = number, np.append(item, item[again]), np.append(y, y[again])
    doubled = fit(objective, start, *columns)

    def trusting(trust: np.ndarray | None) -> Fit:
        fewer = replace(start, W=start.W[:N_USERS], b=start.b[:N_USERS])
        return fit(objective, fewer, user, item, y, trust=trust)

    weighted = trusting(np.where(twice, 2, 1).astype(np.float32))
    if objective.exact_users:  # J is scaled to all ratings, which are more
        assert not np.allclose(trusting(None).factors.X, doubled.factors.X, rtol=1e-3)
        np.testing.assert_allclose(weighted.factors.X, doubled.factors.X, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(
            weighted.factors.W, doubled.factors.W[:N_USERS], rtol=1e-3, atol=1e-3
        )
    assert weighted.losses[0] == pytest.approx(doubled.losses[0], rel=1e-4)


def test_a_users_own_row_does_not_depend_on_trust():
    objective, X = OBJECTIVES["ranking"], 9 * initial_factors(N_ITEMS, 1, N_FACTORS, seed=2).X
    solver = RowSolver(objective, X, np.ones(N_ITEMS), np.ones(N_FACTORS, np.float32))
    plain, _ = solver.solve(ratings_with(None))
    weighted, _ = solver.solve(ratings_with(np.linspace(0.1, 1, N_USERS).astype(np.float32)))
    np.testing.assert_array_equal(plain, weighted)


@given(st.integers(0, 2**31), st.floats(0, 10))
@settings(max_examples=30, deadline=None)
def test_means_are_weighted_by_trust(seed: int, damping: float):
    rng = np.random.default_rng(seed)
    user, item, _ = some_ratings(seed)
    rating, trust = rng.integers(1, 6, len(user)), rng.choice([0.1, 1], N_USERS)
    ratings = Ratings(user, item, rating.astype(np.float32), N_USERS, N_ITEMS, trust=trust)
    weights = trust[user]
    mean = np.average(rating, weights=weights)
    for i, value in enumerate(item_means(ratings, damping)):
        mine = item == i
        above = (weights * rating)[mine].sum() + damping * mean
        below = weights[mine].sum() + damping
        assert value == pytest.approx(above / below if below else mean, rel=1e-4)
    assert ratings.where(item > 0).trusted_counts() == pytest.approx(
        [0, *(weights[item == i].sum() for i in range(1, N_ITEMS))]
    )


def test_less_trust_keeps_a_pushed_item_down():
    rng = np.random.default_rng(5)
    user, item = np.nonzero(rng.random((60, 20)) < 0.3)
    user, item = user[item != 7], item[item != 7]
    fakes = np.arange(60, 70)
    users = np.concatenate([user, fakes, fakes]).astype(np.int32)
    items = np.concatenate([item, np.full(10, 7), np.full(10, 3)]).astype(np.int32)
    ratings = Ratings(users, items, np.full(len(users), 5, np.float32), 70, 20)
    trust = np.where(np.arange(70) < 60, 1, 0.1).astype(np.float32)
    few = load_settings(["n_factors=4", "ranking_alpha=1", "ranking_lambda=0.1"])

    def score(ratings: Ratings) -> float:
        factors = fit_ranking_model(Observations(ratings, None, Scale(1, 5)), few).factors
        return float((factors.W[:60] @ factors.X[7]).mean())

    assert score(replace(ratings, trust=trust)) < score(ratings) / 2


def test_gradients_by_X_and_prior_are_those_of_the_weighted_minimum():
    """Of J minimised over W, by small differences of X and of the prior."""
    objective = OBJECTIVES["ranking"]
    trust = np.linspace(0.1, 1, N_USERS).astype(np.float32)
    ratings = ratings_with(trust)
    counts = np.bincount(ratings.item_index, trust[ratings.user_index], N_ITEMS)
    pairs = objective.pairs_of_item(ratings.counts, N_ITEMS, trust)
    penalty = objective.item_penalties(counts, pairs)
    X = 9 * initial_factors(N_ITEMS, 1, N_FACTORS, seed=4).X
    prior = np.full(N_FACTORS, 0.3, np.float32)

    def minimum(X: np.ndarray, prior: np.ndarray) -> tuple[tf.Tensor, list[tf.Tensor]]:
        W, b = RowSolver(objective, X, counts, prior).solve(ratings)
        variables = [tf.Variable(X), tf.Variable(prior)]
        with tf.GradientTape() as tape:
            J = cost(
                Parameters(variables[0], W, b, variables[1]), problem(objective, ratings, penalty)
            )
        return J, tape.gradient(J, variables)

    _, gradients = minimum(X, prior)
    step = np.float32(1e-2)
    for place in [(0, 0), (3, 2), (5, 1)]:
        change = np.zeros_like(X)
        change[place] = step
        numeric = (minimum(X + change, prior)[0] - minimum(X - change, prior)[0]) / (2 * step)
        assert float(gradients[0][place]) == pytest.approx(float(numeric), rel=2e-2, abs=2e-3)
    change = np.eye(N_FACTORS, dtype=np.float32)[1] * step
    numeric = (minimum(X, prior + change)[0] - minimum(X, prior - change)[0]) / (2 * step)
    assert float(gradients[1][1]) == pytest.approx(float(numeric), rel=2e-2, abs=2e-3)
