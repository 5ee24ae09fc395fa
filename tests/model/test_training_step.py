"""One step of training: it follows the gradient, and is traced once."""

from dataclasses import replace

import numpy as np
import tensorflow as tf

from cofi_jobs.core.factors import initial_factors
from cofi_jobs.model import gradients, training_step
from cofi_jobs.model.fit import fit
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.shards import Shard, Totals
from cofi_jobs.model.user_ratings import by_user
from tests.support.ratings_matrix import planted


def test_with_exact_users_the_first_step_follows_the_gradient():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    objective, start = (
        Objective(exact_users=True, learning_rate=0.05, steps=1),
        initial_factors(60, 80, 3, seed=0),
    )
    ratings = by_user(user, item, truth[seen], n_users=80)
    totals = Totals.of(objective, ratings.counts, np.bincount(item))
    shard = Shard(objective, ratings, totals, seed=0)
    projected = gradients.ProjectedGradient(objective, shard)
    _, [gradient] = projected.next_step({"X": tf.constant(start.X)})
    size, usual = np.sqrt(0.001) * np.abs(gradient), np.sqrt(np.mean(np.square(gradient)))
    # Kingma & Ba 2015, "Adam", section 2, at t = 1, epsilon beside the root of a v that is not yet
    # scaled up.
    expected = start.X - 0.05 * np.sign(gradient) * size / (size + 0.3 * usual)
    np.testing.assert_allclose(
        fit(objective, start, user, item, truth[seen]).factors.X, expected, atol=1e-6
    )
    still = fit(replace(objective, lambda_=0.0), start, user, item, np.zeros(len(user), np.float32))
    np.testing.assert_array_equal(still.factors.X, start.X)


def test_steps_of_all_sizes_share_one_trace():
    truth, seen = planted()
    user, item = np.nonzero(seen)
    objective = Objective(exact_users=True, ratings_per_step=700, steps=20)
    count_traces = training_step._cost_and_gradients.experimental_get_tracing_count
    start, before = initial_factors(60, 80, 3, seed=0), count_traces()
    fit(replace(objective, fixed_losses=0), start, user, item, truth[seen])
    of_steps = count_traces()
    assert of_steps <= before + 1  # none if another test has had it traced
    fit(objective, start, user, item, truth[seen])
    traces = count_traces()
    assert traces <= of_steps + 1  # of J alone
    fit(
        objective,
        initial_factors(60, 70, 4, seed=0),
        user[user < 70],
        item[user < 70],
        truth[:70][seen[:70]],
    )
    assert count_traces() == traces
