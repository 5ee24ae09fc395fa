"""Intervals against the normal distribution."""

import numpy as np
import pytest

from cofi_jobs.evaluation.intervals import intervals
from cofi_jobs.evaluation.metrics import Mean, mean_of


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
