"""The training loop: the textbook's, and what both models learn."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from cofi_jobs.core.errors import TrainingError
from cofi_jobs.core.factors import Factors, initial_factors, predict
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.model import shards
from cofi_jobs.model.cost import cost
from cofi_jobs.model.fit import fit
from cofi_jobs.model.models import fit_both
from cofi_jobs.model.objectives import Objective, ranking_target
from cofi_jobs.model.observations import Observations
from cofi_jobs.model.problem import Parameters, Problem
from cofi_jobs.model.warm_start import Start
from cofi_jobs.settings.resolve import load_settings
from tests.support.ratings_matrix import planted


def course_data(seed: int = 3):
    """Y, R as in the course (items x users), and given first values."""
    rng = np.random.default_rng(seed)
    n_items, n_users, n_factors = 40, 25, 6
    R = rng.random((n_items, n_users)) < 0.3
    Y = rng.integers(1, 6, R.shape) * R
    start = Factors(
        rng.standard_normal((n_items, n_factors), dtype=np.float32),
        rng.standard_normal((n_users, n_factors), dtype=np.float32),
        rng.standard_normal(n_users, dtype=np.float32),
    )
    return Y.astype(np.float32), R, start


def dense_losses(
    Y_norm, R, start: Factors, lambda_: float, iterations: int
) -> tuple[list[float], Factors]:
    """The course's loop on the dense formula, minimised by the same Adam."""
    X, W, b = tf.Variable(start.X), tf.Variable(start.W), tf.Variable(start.b[None, :])
    mask = tf.constant(R, tf.float32)
    optimizer = keras.optimizers.Adam(learning_rate=0.1)
    losses = []
    for _ in range(iterations):
        with tf.GradientTape() as tape:
            error = (tf.matmul(X, W, transpose_b=True) + b - Y_norm) * mask
            J = 0.5 * tf.reduce_sum(error**2) + lambda_ / 2 * (
                tf.reduce_sum(X**2) + tf.reduce_sum(W**2)
            )
        optimizer.apply_gradients(zip(tape.gradient(J, [X, W, b]), [X, W, b], strict=True))
        losses.append(float(J))
    return losses, Factors(X.numpy(), W.numpy(), b.numpy()[0])


@pytest.mark.slow
def test_the_textbooks_loop_gives_the_losses_of_the_dense_formula():
    Y, R, start = course_data()
    Y_norm = (Y - (Y.sum(axis=1) / np.maximum(R.sum(axis=1), 1))[:, None]) * R
    item, user = np.nonzero(R)
    result = fit(Objective(lambda_=1.0), start, user, item, Y_norm[R])
    expected, factors = dense_losses(Y_norm, R, start, lambda_=1.0, iterations=200)
    assert len(result.losses) == 200
    np.testing.assert_allclose(result.losses, expected, rtol=1e-5)
    np.testing.assert_allclose(
        result.factors.X @ result.factors.W.T + result.factors.b,
        factors.X @ factors.W.T + factors.b,
        atol=2e-2,
    )


@pytest.mark.slow
def test_the_rating_model_recovers_a_planted_low_rank_matrix():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    objective = Objective(
        lambda_=0.02, learning_rate=0.05, steps=300, ratings_per_step=256, cosine_decay=True
    )
    result = fit(objective, initial_factors(60, 80, 3, seed=0), user, item, truth[seen])
    user, item = np.nonzero(~seen)
    error = predict(result.factors, user, item) - truth[~seen]
    assert np.sqrt(np.mean(error**2)) < 0.1 * truth.std()


@pytest.mark.slow
def test_the_ranking_model_recovers_the_order_of_a_planted_low_rank_matrix():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    objective = Objective(
        "ranking",
        lambda_=0.02,
        alpha=0.0017,
        bias=False,
        learning_rate=0.05,
        steps=300,
        ratings_per_step=256,
    )
    factors = fit(objective, initial_factors(60, 80, 3, seed=0), user, item, truth[seen]).factors
    scores = factors.W @ factors.X.T
    for row in range(80):
        hidden = ~seen[row]
        assert np.corrcoef(scores[row][hidden], truth[row][hidden])[0, 1] > 0.95


@pytest.mark.slow
def test_the_ranking_model_finds_planted_groups():
    # Users and items of two groups; a user rates half of the own group's items and none of the
    # other's.
    rng = np.random.default_rng(2)
    fits_taste = (np.arange(60)[:, None] % 2) == (np.arange(40)[None, :] % 2)
    seen = fits_taste & (rng.random(fits_taste.shape) < 0.5)
    user, item = np.nonzero(seen)
    objective = Objective(
        "ranking",
        lambda_=0.1,
        nu=0.5,
        alpha=1.2,
        bias=False,
        learning_rate=0.02,
        steps=200,
        ratings_per_step=128,
    )
    factors = fit(
        objective, initial_factors(40, 60, 2, seed=0), user, item, np.full(len(user), 4, np.float32)
    ).factors
    scores = factors.W @ factors.X.T
    assert scores[fits_taste & ~seen].min() > scores[~fits_taste].max()


@pytest.mark.parametrize("name", ["rating", "ranking"])
def test_both_models_complete_a_checkerboard(name):
    board = (np.indices((16, 16)).sum(axis=0) % 2 * 4 + 1).astype(np.float32)  # 1 and 5 stars
    seen = np.random.default_rng(5).random(board.shape) < 0.7
    user, item = np.nonzero(seen)
    if name == "rating":
        objective, y = (
            Objective("rating", lambda_=0.05, learning_rate=0.05, steps=200),
            board[seen] - 3,
        )
    else:
        objective = Objective(
            "ranking", lambda_=0.05, alpha=0.014, bias=False, learning_rate=0.05, steps=200
        )
        y = ranking_target(board[seen], Scale(1, 5), zero=0.25)
    factors = fit(objective, initial_factors(16, 16, 4, seed=1), user, item, y).factors
    scores = factors.W @ factors.X.T + factors.b[:, None]
    for row in range(16):
        hidden = ~seen[row]
        fives, ones = (
            scores[row][hidden & (board[row] == 5)],
            scores[row][hidden & (board[row] == 1)],
        )
        assert not len(fives) or not len(ones) or fives.min() > ones.max()


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    objective = Objective(exact_users=True, steps=7, ratings_per_step=256)

    def train(seed):
        return fit(objective, initial_factors(60, 80, 8, seed), user, item, truth[seen], seed)

    first, again, other = train(1), train(1), train(2)
    assert first.losses == again.losses
    for name in ("X", "W", "b"):
        np.testing.assert_array_equal(getattr(first.factors, name), getattr(again.factors, name))
    assert first.losses != other.losses


@pytest.mark.slow
def test_given_factors_are_where_training_starts():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    objective = Objective(
        lambda_=0.02, learning_rate=0.05, steps=300, ratings_per_step=256, cosine_decay=True
    )
    cold = fit(objective, initial_factors(60, 80, 3, seed=0), user, item, truth[seen])
    warm = fit(
        Objective(lambda_=0.02, learning_rate=1e-6, steps=1), cold.factors, user, item, truth[seen]
    )
    assert warm.losses[0] == pytest.approx(cold.losses[-1], rel=0.02)


def test_numbers_that_blow_up_stop_the_run_and_name_step_and_setting():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    targets = truth[seen].copy()
    targets[5] = 1e30  # its square is beyond float32
    with pytest.raises(
        TrainingError, match=r"J of the rating model is inf in step 1, .* rating_learning_rate"
    ):
        fit(Objective("rating"), initial_factors(60, 80, 3, seed=0), user, item, targets)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("exact_users", [False, True])
def test_X_that_blows_up_in_the_last_step_has_a_message_of_its_own(exact_users):
    truth, seen = planted()
    user, item = np.nonzero(seen)
    objective = Objective("rating", learning_rate=1e38, steps=1, exact_users=exact_users)
    with pytest.raises(
        TrainingError,
        match=r"^X of the rating model is not finite after the last step; "
        r"lower rating_learning_rate \(now 1e\+38\)$",
    ):
        fit(objective, initial_factors(60, 80, 3, seed=0), user, item, truth[seen])


@pytest.mark.slow
def test_exact_users_end_where_adam_on_all_ends_and_come_there_faster():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    start = initial_factors(60, 80, 3, seed=0)
    objective = Objective(
        lambda_=1.0, bias_lambda=1.0, learning_rate=0.5, cosine_decay=True, steps=400
    )
    ending = fit(replace(objective, exact_users=True), start, user, item, truth[seen])
    parts = [tf.Variable(part) for part in (ending.factors.X, ending.factors.W, ending.factors.b)]
    with tf.GradientTape() as tape:
        problem = Problem(user, item, truth[seen], tf.ones(60), tf.ones(80), bias_penalty=1.0)
        J = cost(Parameters(*parts), problem)
    for gradient, part in zip(tape.gradient(J, parts), parts, strict=True):
        slope = np.abs(tf.convert_to_tensor(gradient)).max()
        assert slope < 0.001 * np.abs(part).max(), slope
    assert float(J) == pytest.approx(ending.losses[-1], rel=1e-4)
    by_adam = fit(objective, start, user, item, truth[seen])
    assert by_adam.losses[-1] == pytest.approx(ending.losses[-1], rel=1e-4)
    assert ending.losses[50] - float(J) < 0.5 * (by_adam.losses[50] - float(J))


def test_a_warm_fit_takes_a_third_of_the_steps():
    truth, seen = planted()
    user, item = (index.astype(np.int32) for index in np.nonzero(seen))
    ratings, start = Ratings(user, item, truth[seen], 80, 60), initial_factors(60, 80, 3, seed=0)
    settings = load_settings(["n_factors=3", "rating_steps=7", "ranking_steps=2"])
    data = Observations(ratings, np.zeros(60), Scale(1, 5))
    warm = fit_both(data, settings, Start(start, start))
    assert warm.rating is not None
    assert [len(objective.losses) for objective in (warm.rating, warm.ranking)] == [3, 1]


def test_the_loss_of_fixed_users_is_that_of_all_where_they_are_all():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    objective = Objective(exact_users=True, recency=0.5, alpha=0.5, steps=40)
    result = fit(objective, initial_factors(60, 80, 3, seed=0), user, item, truth[seen])
    assert list(result.fixed_losses) == list(range(0, 40, 5))
    expected = [result.losses[step] for step in result.fixed_losses]
    np.testing.assert_allclose(list(result.fixed_losses.values()), expected, rtol=1e-5)
    by_adam = fit(Objective(steps=3), result.factors, user, item, truth[seen])
    assert by_adam.fixed_losses == {}, "each step has J of all ratings"


def test_the_loss_of_fixed_users_falls_where_that_of_each_steps_users_goes_up_and_down(monkeypatch):
    monkeypatch.setattr(shards, "CHUNK", 1000)
    truth, seen = planted()
    truth *= np.geomspace(0.2, 2, len(truth))[:, None]  # users are unlike
    user, item = np.nonzero(seen)
    objective = Objective(
        exact_users=True, lambda_=0.5, steps=40, ratings_per_step=256, cosine_decay=True
    )
    result = fit(objective, initial_factors(60, 80, 3, seed=0), user, item, truth[seen])
    assert (np.diff(result.losses) > 0).any()
    assert (np.diff(list(result.fixed_losses.values())) < 0).all()
