"""What the models are fitted to: targets, penalties, steps."""

import numpy as np
import pytest

from cofi_jobs.core.scale import Scale
from cofi_jobs.model.objectives import Objective, ranking_target, rating_objective, rating_target
from cofi_jobs.settings.resolve import load_settings


def test_the_textbooks_loop_is_reached_by_settings_too():
    names = "ratings_per_step=0 learning_rate_schedule=constant rating_nu=0 rating_lambda=1".split()
    names += ["rating_learning_rate=0.1", "rating_steps=200", "rating_bias_lambda=0"]
    names += ["exact_users=false", "recency=0"]
    assert rating_objective(load_settings(names)) == Objective("rating", lambda_=1.0)


@pytest.mark.parametrize("scale", [Scale(1, 5), Scale(-10, 10), Scale(0.5, 5)])
def test_targets_are_the_same_on_every_scale(scale):
    low, high = scale
    quarters = np.linspace(low, high, 5)
    np.testing.assert_allclose(
        ranking_target(quarters, scale, zero=0.25),
        [-1 / 3, 0, 1 / 3, 2 / 3, 1],
        rtol=1e-6,
        atol=1e-7,
    )
    np.testing.assert_allclose(
        rating_target(quarters - quarters[2], scale), [-2, -1, 0, 1, 2], rtol=1e-6, atol=1e-7
    )


def test_the_steps_of_a_round_follow_the_number_of_ratings():
    sizes = {
        n: n / Objective(ratings_per_step=None).steps_per_round(n)
        for n in (10, 80_000, 10**7, 10**8)
    }
    assert sizes == {10: 10, 80_000: 16_000, 10**7: 10**5, 10**8: 10**6}
    assert Objective(ratings_per_step=0).steps_per_round(10**6) == 1
    assert Objective(ratings_per_step=1000).steps_per_round(10_400) == 11


def test_penalties_and_alphas_by_hand():
    counts = np.array([0, 4, 9])
    np.testing.assert_allclose(Objective(lambda_=2.0).user_penalties(counts, 100), [2, 2, 2])
    np.testing.assert_allclose(
        Objective(lambda_=2.0, nu=0.5).user_penalties(counts, 100), [0, 4, 6]
    )
    np.testing.assert_allclose(Objective(alpha=25.0).alphas(counts, n_items=100), [0, 1, 2.25])
