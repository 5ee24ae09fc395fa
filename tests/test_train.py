"""The training loop: the textbook's, and what both heads learn."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from cofi_jobs.errors import TrainingError
from cofi_jobs.heads import Head, ranking_target, rating_head, rating_target
from cofi_jobs.model import Factors, Ratings, initial_factors, predict
from cofi_jobs.settings import load_settings
from cofi_jobs.train import Step, fit, fit_both
from cofi_jobs.warm_start import Start


def course_data(seed: int = 3):
    """Y, R as in the course (items x users), and given first values."""
    rng = np.random.default_rng(seed)
    n_items, n_users, n_features = 40, 25, 6
    R = rng.random((n_items, n_users)) < 0.3
    Y = rng.integers(1, 6, R.shape) * R
    start = Factors(
        rng.standard_normal((n_items, n_features), dtype=np.float32),
        rng.standard_normal((n_users, n_features), dtype=np.float32),
        rng.standard_normal(n_users, dtype=np.float32),
    )
    return Y.astype(np.float32), R, start


def dense_losses(Y_norm, R, start: Factors, lambda_: float, iterations: int) -> tuple[list[float], Factors]:
    """The course's loop on the dense formula, minimised by the same Adam."""
    X, W, b = tf.Variable(start.X), tf.Variable(start.W), tf.Variable(start.b[None, :])
    mask = tf.constant(R, tf.float32)
    optimizer = keras.optimizers.Adam(learning_rate=0.1)
    losses = []
    for _ in range(iterations):
        with tf.GradientTape() as tape:
            error = (tf.matmul(X, W, transpose_b=True) + b - Y_norm) * mask
            J = 0.5 * tf.reduce_sum(error**2) + lambda_ / 2 * (tf.reduce_sum(X**2) + tf.reduce_sum(W**2))
        optimizer.apply_gradients(zip(tape.gradient(J, [X, W, b]), [X, W, b], strict=True))
        losses.append(float(J))
    return losses, Factors(X.numpy(), W.numpy(), b.numpy()[0])


def test_the_textbooks_loop_gives_the_losses_of_the_dense_formula():
    Y, R, start = course_data()
    Y_norm = (Y - (Y.sum(axis=1) / np.maximum(R.sum(axis=1), 1))[:, None]) * R
    item, user = np.nonzero(R)
    result = fit(Head(lambda_=1.0), start, user, item, Y_norm[R])
    expected, factors = dense_losses(Y_norm, R, start, lambda_=1.0, iterations=200)
    assert len(result.losses) == 200
    np.testing.assert_allclose(result.losses, expected, rtol=1e-5)
    np.testing.assert_allclose(
        result.factors.X @ result.factors.W.T + result.factors.b, factors.X @ factors.W.T + factors.b, atol=2e-2
    )


def test_the_textbooks_loop_is_reached_by_settings_too():
    names = "batch_size=0 learning_rate_schedule=constant rating_nu=0 rating_lambda=1 rating_learning_rate=0.1".split()
    names += ["rating_epochs=200", "rating_bias_lambda=0", "recency=0", "max_steps=0"]
    assert rating_head(load_settings(names)) == Head("rating", lambda_=1.0)


def planted(n_users: int = 80, n_items: int = 60, rank: int = 3, seed: int = 1):
    """A low-rank matrix, 60 % observed."""
    rng = np.random.default_rng(seed)
    truth = (rng.normal(size=(n_users, rank)) @ rng.normal(size=(rank, n_items))).astype(np.float32)
    seen = rng.random(truth.shape) < 0.6
    return truth, seen


def test_the_rating_head_recovers_a_planted_low_rank_matrix():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    head = Head(lambda_=0.02, learning_rate=0.05, epochs=150, batch_size=256, cosine_decay=True)
    result = fit(head, initial_factors(60, 80, 3, seed=0), user, item, truth[seen])
    user, item = np.nonzero(~seen)
    error = predict(result.factors, user, item) - truth[~seen]
    assert np.sqrt(np.mean(error**2)) < 0.1 * truth.std()


def test_the_ranking_head_recovers_the_order_of_a_planted_low_rank_matrix():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    head = Head("ranking", lambda_=0.02, alpha=0.0017, bias=False, learning_rate=0.05, epochs=150, batch_size=256)
    factors = fit(head, initial_factors(60, 80, 3, seed=0), user, item, truth[seen]).factors
    scores = factors.W @ factors.X.T
    for row in range(80):
        hidden = ~seen[row]
        assert np.corrcoef(scores[row][hidden], truth[row][hidden])[0, 1] > 0.95


def test_the_ranking_head_finds_planted_groups():
    # Users and items of two groups; a user rates half of the own group's items and none of the other's.
    rng = np.random.default_rng(2)
    own = (np.arange(60)[:, None] % 2) == (np.arange(40)[None, :] % 2)
    seen = own & (rng.random(own.shape) < 0.5)
    user, item = np.nonzero(seen)
    head = Head("ranking", lambda_=0.1, nu=0.5, alpha=1.2, bias=False, learning_rate=0.02, epochs=100, batch_size=128)
    factors = fit(head, initial_factors(40, 60, 2, seed=0), user, item, np.full(len(user), 4, np.float32)).factors
    scores = factors.W @ factors.X.T
    assert scores[own & ~seen].min() > scores[~own].max()


@pytest.mark.parametrize("name", ["rating", "ranking"])
def test_both_heads_complete_a_checkerboard(name):
    board = (np.indices((16, 16)).sum(axis=0) % 2 * 4 + 1).astype(np.float32)  # 1 and 5 stars
    seen = np.random.default_rng(5).random(board.shape) < 0.7
    user, item = np.nonzero(seen)
    if name == "rating":
        head, y = Head("rating", lambda_=0.05, learning_rate=0.05, epochs=200), board[seen] - 3
    else:
        head = Head("ranking", lambda_=0.05, alpha=0.014, bias=False, learning_rate=0.05, epochs=200)
        y = ranking_target(board[seen], (1, 5))
    factors = fit(head, initial_factors(16, 16, 4, seed=1), user, item, y).factors
    scores = factors.W @ factors.X.T + factors.b[:, None]
    for row in range(16):
        hidden = ~seen[row]
        fives, ones = scores[row][hidden & (board[row] == 5)], scores[row][hidden & (board[row] == 1)]
        assert not len(fives) or not len(ones) or fives.min() > ones.max()


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    head = Head(epochs=3, batch_size=256)

    def train(seed):
        return fit(head, initial_factors(60, 80, 8, seed), user, item, truth[seen], seed)

    first, again, other = train(1), train(1), train(2)
    assert first.losses == again.losses
    for name in ("X", "W", "b"):
        np.testing.assert_array_equal(getattr(first.factors, name), getattr(again.factors, name))
    assert first.losses != other.losses


def test_given_factors_are_where_training_starts():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    head = Head(lambda_=0.02, learning_rate=0.05, epochs=150, batch_size=256, cosine_decay=True)
    cold = fit(head, initial_factors(60, 80, 3, seed=0), user, item, truth[seen])
    warm = fit(Head(lambda_=0.02, learning_rate=1e-6, epochs=1), cold.factors, user, item, truth[seen])
    assert warm.losses[0] == pytest.approx(cold.losses[-1], rel=0.02)


def test_numbers_that_blow_up_stop_the_run_and_name_step_and_setting():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    targets = truth[seen].copy()
    targets[5] = 1e30  # its square is beyond float32
    with pytest.raises(TrainingError, match=r"J of the rating head is inf in step 1, .* rating_learning_rate"):
        fit(Head("rating"), initial_factors(60, 80, 3, seed=0), user, item, targets)


@pytest.mark.parametrize("scale", [(1, 5), (-10, 10), (0.5, 5)])
def test_targets_are_the_same_on_every_scale(scale):
    low, high = scale
    quarters = np.linspace(low, high, 5)
    np.testing.assert_allclose(ranking_target(quarters, scale), [-1 / 3, 0, 1 / 3, 2 / 3, 1], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(rating_target(quarters - quarters[2], scale), [-2, -1, 0, 1, 2], rtol=1e-6, atol=1e-7)


def test_batches_follow_the_number_of_ratings():
    sizes = {n: n / Head(batch_size=None).batches(n) for n in (10, 80_000, 10**6, 10**8)}
    assert sizes == {10: 10, 80_000: 8_000, 10**6: 10_000, 10**8: pytest.approx(262_144, rel=0.01)}
    assert sizes[10**8] <= 262_144
    assert Head(batch_size=0).batches(10**6) == 1
    assert Head(batch_size=1000).batches(10_400) == 11


@pytest.mark.parametrize(
    ("n_ratings", "epochs", "max_steps", "passes"),
    [
        (100_836, 20, 600, 20),  # 13 steps an epoch: all of ml-latest-small
        (10**6, 20, 600, 6),  # 100 steps an epoch
        (10**6, 20, 601, 7),
        (10**6, 5, 600, 5),
        (10**6, 20, 0, 20),
        (10**8, 20, 600, 2),  # 382 steps an epoch
        (10**8, 20, 1, 2),
        (10**8, 1, 600, 1),
    ],
)
def test_epochs_end_when_there_were_enough_steps(n_ratings, epochs, max_steps, passes):
    head = Head(epochs=epochs, batch_size=None, max_steps=max_steps)
    assert head.passes(n_ratings) == passes


def test_with_fewer_epochs_the_rate_still_runs_down_to_0_and_a_warm_fit_takes_a_third_of_them():
    truth, seen = planted()
    user, item = (index.astype(np.int32) for index in np.nonzero(seen))
    y, start, step = truth[seen], initial_factors(60, 80, 3, seed=0), Step(60, 80, 3, bias=True)
    most = 5 * Head(batch_size=256).batches(len(y))
    capped = Head(epochs=20, batch_size=256, cosine_decay=True, max_steps=most)
    found = fit(capped, start, user, item, y, step=step)
    five = fit(replace(capped, epochs=5), start, user, item, y, step=step)
    assert len(found.losses) == 5
    np.testing.assert_array_equal(found.factors.X, five.factors.X)

    ratings, again = Ratings(user, item, y, 80, 60), Start(start, start, np.zeros(80, bool))
    settings = load_settings(["n_features=3", "batch_size=256", f"max_steps={most}"])
    warm = fit_both(ratings, np.zeros(60), y, settings, (1, 5), again)
    assert [len(head.losses) for head in (warm.rating, warm.ranking)] == [2, 2]
