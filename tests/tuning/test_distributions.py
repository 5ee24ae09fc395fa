"""Where tuning searches."""

import optuna
import pytest

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.tuning.distributions import distributions, nearest
from cofi_jobs.tuning.space import SPACE, Factor


def test_where_tuning_looks():
    space = distributions(SPACE["ranking"], load_settings(["ranking_lambda=0", "ranking_nu=0.9"]))
    assert "ranking_lambda" not in space, "what is switched off stays off"
    features, nu, alpha = space["n_factors"], space["ranking_nu"], space["ranking_alpha"]
    assert isinstance(features, optuna.distributions.IntDistribution)
    assert (features.low, features.high, features.step) == (32, 128, 16)
    assert isinstance(nu, optuna.distributions.FloatDistribution)
    assert (nu.low, nu.high) == (pytest.approx(0.6), 1.0)
    assert isinstance(alpha, optuna.distributions.FloatDistribution)
    assert (alpha.low, alpha.high, alpha.log) == (pytest.approx(25 / 3), 75, True)
    for n in (1, 2, 3, 50, 1000, 1024):
        one = distributions({"n_factors": Factor(2)}, load_settings([f"n_factors={n}"]))[
            "n_factors"
        ]
        assert one._contains(n)
        assert nearest(10_000, one) <= 1024
        assert nearest(0, one) >= 1
