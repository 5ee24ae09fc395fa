"""Intervals against the normal distribution."""

import numpy as np
import pytest

from cofi_jobs.evaluation.cells import CELLS, CellMean, cells_of, in_cells, number_of_cells
from cofi_jobs.evaluation.intervals import FEWEST_USERS, intervals, widening
from cofi_jobs.evaluation.metrics import Mean, mean_of


@pytest.mark.parametrize("n_users", [2_000, 50_000])  # beyond 20,000 users are put together
def test_intervals_are_those_of_the_normal_distribution(n_users):
    rng = np.random.default_rng(0)
    first = rng.exponential(size=n_users)
    second = first + rng.normal(0.1, 0.5, n_users)
    missing = rng.random(n_users) < 0.3
    one, other = (
        in_cells(mean_of(np.where(missing, np.nan, values)), seed=1) for values in (first, second)
    )
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
    rmse = in_cells(Mean(n * error**2, n, root=True), seed=0)
    [(low, high)] = intervals({"rmse": rmse}, {}, seed=0).values()
    assert low is not None
    assert high is not None
    half = 1.96 * (error**2).std() / np.sqrt(300) / (2 * np.sqrt((error**2).mean()))
    assert high - low == pytest.approx(2 * half, rel=0.15)


@pytest.mark.parametrize(("n", "t"), [(20, 2.0930), (21, 2.0860), (31, 2.0423), (121, 1.9799)])
def test_few_users_have_the_wider_intervals_of_students_t(n: int, t: float):
    assert widening(n) * 1.96 == pytest.approx(t * np.sqrt(n / (n - 1)), rel=5e-4)


def test_a_mean_lies_among_the_values_of_its_users():
    hits = np.zeros(30)
    hits[0] = 1
    [(low, high)] = intervals({"hit_rate": in_cells(mean_of(hits), seed=0)}, {}, seed=0).values()
    assert low == 0
    assert high is not None
    assert high < 1


@pytest.mark.parametrize(
    "n_ratings",
    [[20], [1] * 3, [2] * 6, [1] * (FEWEST_USERS - 1), [600] + [1] * 79, [900, 900] + [1] * 500],
)
def test_too_few_users_have_no_interval_however_many_ratings_some_have(n_ratings: list[int]):
    n = np.array(n_ratings, float)
    rmse, other = (in_cells(Mean(n * square, n, root=True), seed=0) for square in (0.9, 0.4))
    assert intervals({"rmse": rmse}, {"pair": (rmse, other)}, seed=0) == {
        "rmse": (None, None),
        "pair": (None, None),
    }


def test_nothing_has_no_interval():
    nothing = in_cells(Mean(np.zeros(3), np.zeros(3)), seed=0)
    assert intervals({"a": nothing}, {"b": (nothing, nothing)}, seed=0) == {
        "a": (None, None),
        "b": (None, None),
    }


def errors_of_users(rng: np.random.Generator, n: np.ndarray, sd: float) -> CellMean:
    """RMSE of users with n ratings each, whose errors are of unlike sizes."""
    of_user = sd * np.exp(rng.normal(0, 0.3, len(n)))
    return in_cells(Mean(of_user**2 * rng.chisquare(n), n, root=True), seed=0)


def share_refused(n_users: int, worse: float, trials: int) -> float:
    """How often a rating model whose errors are `worse` times as large is surely worse."""
    rng, pairs = np.random.default_rng(n_users), {}
    for trial in range(trials):
        n = np.ceil(rng.lognormal(1, 0.8, n_users))
        pairs[str(trial)] = errors_of_users(rng, n, worse), errors_of_users(rng, n, 1.0)
    ends = intervals({}, pairs, seed=0).values()
    return sum(low is not None and low > 0 for low, _ in ends) / trials


@pytest.mark.parametrize("n_users", [1, 2, 3, 6, 12, 25, 40, 80, 300])
def test_equal_models_are_seldom_surely_worse_however_few_the_users(n_users: int):
    assert share_refused(n_users, worse=1.0, trials=300) <= 0.05


@pytest.mark.parametrize("n_users", [3, 6, 25, 80])
def test_equal_lists_with_few_hits_are_seldom_surely_worse(n_users: int):
    rng, pairs = np.random.default_rng(n_users), {}
    for trial in range(300):
        hits = rng.random((2, n_users)) * (rng.random((2, n_users)) < 0.3)
        one, other = (in_cells(mean_of(of_model), seed=0) for of_model in hits)
        pairs[str(trial)] = one, other
    ends = intervals({}, pairs, seed=0).values()
    assert sum(high is not None and high < 0 for _, high in ends) <= 0.05 * 300


def test_many_users_are_evidence_of_a_worse_model():
    assert share_refused(n_users=300, worse=1.25, trials=30) > 0.95


@pytest.mark.parametrize("n_users", [CELLS, 3 * CELLS + 1, 150_000])
def test_users_are_in_the_same_cells_however_many_are_asked_for(n_users: int):
    users = np.arange(n_users)
    cells = cells_of(users, n_users, seed=1)
    assert len(np.unique(cells)) > 0.9 * CELLS
    some = np.sort(np.random.default_rng(0).choice(n_users, 999, replace=False))
    assert cells_of(some, n_users, seed=1).tolist() == cells[some].tolist()
    if n_users > CELLS:
        assert (cells_of(users, n_users, seed=2) != cells).mean() > 0.99
    numbers = np.random.default_rng(0).integers(1, 9, n_users).astype(float)
    mean = Mean(numbers**2, numbers, root=True)
    whole, n = in_cells(mean, seed=1), number_of_cells(n_users)
    parts = [
        CellMean.of(Mean(mean.numerator[part], mean.denominator[part], True), cells[part], n)
        for part in np.array_split(users, 3)
    ]
    added = parts[0] + parts[1] + parts[2]
    assert added.value() == whole.value() == mean.value()
    assert (added.n_users, added.lowest, added.highest) == (n_users, 1.0, np.sqrt(8))
    assert added.effective_users() == pytest.approx(numbers.sum() ** 2 / (numbers**2).sum())
