"""Confidence of events: c = 1 + kappa log(1 + count) in J, in users' rows and in reasons."""

import numpy as np
import pyarrow as pa
import pytest

from cofi_jobs.core.factors import Factors, StoredModel, initial_factors
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.cost import cost
from cofi_jobs.model.fit import fit
from cofi_jobs.model.models import fit_both, fit_ranking_model
from cofi_jobs.model.objectives import ranking_objective, ranking_target
from cofi_jobs.model.observations import Observations
from cofi_jobs.model.problem import Parameters, problem
from cofi_jobs.model.ridge import recency_weights, ridge_solution
from cofi_jobs.model.row_solver import RowSolver
from cofi_jobs.model.user_ratings import by_user
from cofi_jobs.ranking.explanations import explain
from cofi_jobs.settings.resolve import load_settings

SETTINGS = load_settings(["confidence=2", "n_factors=3", "ranking_steps=4"])
OBJECTIVE = ranking_objective(SETTINGS, None)
N_USERS, N_ITEMS = 12, 9


@pytest.fixture
def events() -> Ratings:
    rng = np.random.default_rng(2)
    user, item = np.nonzero(rng.random((N_USERS, N_ITEMS)) < 0.5)
    counts = rng.integers(1, 200, len(user)).astype(np.float32)
    return Ratings(user.astype(np.int32), item.astype(np.int32), counts, N_USERS, N_ITEMS)


def dense_cost(events: Ratings, X: np.ndarray, W: np.ndarray) -> float:
    """Hu, Koren, Volinsky's cost, matrix by matrix."""
    C, R = np.zeros((N_USERS, N_ITEMS)), np.zeros((N_USERS, N_ITEMS))
    C[events.user_index, events.item_index] = 1 + 2 * np.log(1 + events.rating)
    R[events.user_index, events.item_index] = 1
    scores, n_of_user, n_of_item = W @ X.T, R.sum(axis=1), R.sum(axis=0)
    alpha = SETTINGS.ranking_alpha * n_of_user / N_ITEMS
    J = (C * (scores - R) ** 2).sum() + (alpha[:, None] * scores**2).sum()
    for rows, n in ((X, n_of_item), (W, n_of_user)):
        penalty = SETTINGS.ranking_lambda * n**SETTINGS.ranking_nu
        J += (penalty[:, None] * rows**2).sum()
    return float(J / 2)


def test_J_of_events_is_that_of_hu_koren_and_volinsky(events: Ratings) -> None:
    rng = np.random.default_rng(3)
    X, W = (rng.normal(size=(n, 3)).astype(np.float32) for n in (N_ITEMS, N_USERS))
    shuffled = rng.permutation(len(events.rating))
    y = ranking_target(events.rating, None, zero=0.25)
    ratings = by_user(
        events.user_index[shuffled],
        events.item_index[shuffled],
        y[shuffled],
        N_USERS,
        OBJECTIVE.confidence(events.rating[shuffled]),
    )
    item_counts = np.bincount(events.item_index, minlength=N_ITEMS)
    parameters = Parameters(X, W, np.zeros(N_USERS, np.float32))
    pairs = OBJECTIVE.pairs_of_item(ratings.counts, N_ITEMS)
    item_penalty = OBJECTIVE.item_penalties(item_counts, pairs)
    J = float(cost(parameters, problem(OBJECTIVE, ratings, item_penalty)))
    assert pytest.approx(dense_cost(events, X, W), rel=1e-5) == J
    parts = [ratings.between(0, 5), ratings.of_users(np.arange(5, N_USERS))]
    rows = [(X, W[:5], np.zeros(5, np.float32)), (X, W[5:], np.zeros(7, np.float32))]
    of_parts = [
        float(cost(Parameters(*row), problem(OBJECTIVE, part, item_penalty, share)))
        for row, part in zip(rows, parts, strict=True)
        for share in [len(part.y) / len(ratings.y)]
    ]
    assert sum(of_parts) == pytest.approx(J, rel=1e-5)


@pytest.mark.parametrize("recency", [0.0, 0.5])
def test_exact_rows_weigh_by_confidence_and_recency(events: Ratings, recency: float) -> None:
    objective = ranking_objective(SETTINGS.model_copy(update={"recency": recency}), None)
    X = np.random.default_rng(4).normal(size=(N_ITEMS, 3)).astype(np.float32)
    item_counts = np.bincount(events.item_index, minlength=N_ITEMS)
    y = ranking_target(events.rating, None, zero=0.25)
    c = 1 + 2 * np.log1p(events.rating)
    ratings = by_user(events.user_index, events.item_index, y, N_USERS, c.astype(np.float32))
    W, _ = RowSolver(objective, X, item_counts).solve(ratings)
    weights = c * recency_weights(ratings.counts, recency)
    for user, n in enumerate(ratings.counts):
        mine = events.user_index == user
        expected = ridge_solution(
            X[events.item_index[mine]],
            y[mine],
            weights[mine],
            X.T @ X,
            float(objective.alphas(np.array([n]), N_ITEMS)[0]),
            float(objective.row_penalties(np.array([n]), N_ITEMS)[0]),
        )
        np.testing.assert_allclose(W[user], expected, rtol=1e-3, atol=1e-4)


def test_an_event_that_counts_more_gets_a_higher_score(events: Ratings) -> None:
    X = np.eye(N_ITEMS, 3, dtype=np.float32)
    ratings = by_user(
        np.zeros(2), np.arange(2), np.ones(2), 1, OBJECTIVE.confidence(np.array([1, 100]))
    )
    W, _ = RowSolver(OBJECTIVE, X, np.ones(N_ITEMS, int)).solve(ratings)
    assert W[0, 1] > W[0, 0] > 0


def test_the_reason_is_by_how_much_a_score_falls_when_the_row_is_solved_again(
    events: Ratings,
) -> None:
    X = fit_ranking_model(Observations(events, None, None), SETTINGS).factors.X
    mine = events.user_index == 0
    rated, counts = events.item_index[mine], events.rating[mine]
    item = next(i for i in range(N_ITEMS) if i not in rated)
    c = (1 + 2 * np.log1p(counts)) * recency_weights(np.array([len(rated)]), SETTINGS.recency)
    alpha = float(OBJECTIVE.alphas(np.array([len(rated)]), N_ITEMS)[0])
    penalty = float(OBJECTIVE.row_penalties(np.array([len(rated)]), N_ITEMS)[0])

    def score(kept: np.ndarray) -> float:
        y = np.ones(kept.sum())
        return float(ridge_solution(X[rated[kept]], y, c[kept], X.T @ X, alpha, penalty) @ X[item])

    everything = np.ones(len(rated), bool)
    falls = np.array(
        [score(everything) - score(np.arange(len(rated)) != row) for row in range(len(rated))]
    )
    ids = pa.array(range(N_ITEMS))
    w = ridge_solution(X[rated], np.ones(len(rated)), c, X.T @ X, alpha, penalty)
    ranking = Factors(X, w[None].astype(np.float32), np.zeros(1, np.float32))
    model = StoredModel(ids.slice(0, 1), ids, None, ranking, np.full(N_ITEMS, np.nan))
    explanation = explain(model, OBJECTIVE, rated, counts, item, None)
    positive = falls[falls > 0].sum()
    np.testing.assert_allclose(explanation.shares, falls / positive, rtol=1e-2, atol=1e-3)
    assert np.isnan(explanation.predicted_rating)


def test_of_events_only_the_ranking_model_is_fitted(events: Ratings) -> None:
    data = Observations(events, np.zeros(N_ITEMS), None)
    fits = fit_both(data, SETTINGS)
    assert fits.rating is None
    assert fits.means is None
    assert fits.start.rating is None
    warm = fit_both(data, SETTINGS, fits.start)
    assert len(warm.ranking.losses) == 2


def test_ratings_have_no_confidence(events: Ratings) -> None:
    objective = ranking_objective(SETTINGS, Scale(1, 5))
    assert objective.confidence(events.rating) is None
    without = ranking_objective(SETTINGS.model_copy(update={"confidence": 0.0}), None)
    assert without.confidence(events.rating) is None
    start = initial_factors(N_ITEMS, N_USERS, 3, seed=0)
    y = np.ones(len(events.rating), np.float32)
    columns = events.user_index, events.item_index, y
    ones = fit(without, start, *columns, confidence=np.ones(len(y), np.float32)).factors.X
    np.testing.assert_allclose(ones, fit(without, start, *columns).factors.X, rtol=1e-4, atol=1e-5)
