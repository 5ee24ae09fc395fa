"""The gate: what it refuses and what it lets pass."""

import pytest

from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation import gate
from cofi_jobs.evaluation.comparison import Comparison
from cofi_jobs.settings.resolve import load_settings

SETTINGS = load_settings()


def comparison(
    value: float, other: float, low: float, high: float, against: str, model: str = "ranking"
) -> Comparison:
    measure = "ndcg@10" if model == "ranking" else "rmse"
    return Comparison(model, measure, against, value, other, (low, high), 100, 100.0)


@pytest.mark.parametrize(
    ("comparison", "passed"),
    [
        (comparison(0.12, 0.07, 0.03, 0.06, "popularity"), True),
        (comparison(0.06, 0.07, -0.03, 0.01, "popularity"), True),  # worse, but not surely
        (comparison(0.06, 0.07, -0.02, -0.001, "popularity"), False),
        (comparison(0.88, 0.90, -0.03, -0.01, "damped_means", "rating"), True),
        (comparison(0.91, 0.90, -0.01, 0.03, "damped_means", "rating"), True),
        (comparison(0.91, 0.90, 0.001, 0.02, "damped_means", "rating"), False),
        (
            comparison(0.096, 0.10, -0.006, -0.002, "published"),
            True,
        ),  # surely worse, but within 5 %
        (comparison(0.094, 0.10, -0.009, -0.003, "published"), False),
        (comparison(0.094, 0.10, -0.02, 0.008, "published"), True),
        (comparison(0.905, 0.90, 0.001, 0.009, "published", "rating"), True),  # within 1 %
        (comparison(0.91, 0.90, 0.005, 0.015, "published", "rating"), False),
    ],
)
def test_only_what_is_surely_worse_is_refused(comparison, passed):
    [check] = gate.quality([comparison], SETTINGS)
    assert check.passed is passed
    assert check.value == comparison.value


def test_a_refusal_names_measure_value_and_bound():
    [check] = gate.quality([comparison(0.094, 0.10, -0.009, -0.003, "published")], SETTINGS)
    assert check.message == (
        "ndcg@10 of the ranking model is 0.0940, expected at least 0.0950 "
        "(published 0.1000, ranking_margin 0.05); the difference lies between -0.0090 and -0.0030"
    )
    [check] = gate.at_least("coverage", 0.0001, 0.001, "min_coverage")
    assert check.message == "coverage is 0.0001, expected at least 0.001 (setting min_coverage)"


@pytest.mark.parametrize(("share", "passed"), [(0, False), (1e-5, False), (0.01, True), (1, True)])
def test_a_night_in_which_almost_nothing_counts_as_liked_is_refused(share: float, passed: bool):
    check = gate.liked(share, 37.625, Scale(0.5, 50), SETTINGS.min_liked)
    assert check.passed is passed
    assert "those from 37.625 on" in check.message
    assert "not 0.5 to 50, give rating_low and rating_high to one run" in check.message


def test_nothing_measured_is_nothing_refused():
    empty = Comparison("ranking", "ndcg@10", "popularity", None, None, (None, None), 0, 0.0)
    assert gate.quality([empty], SETTINGS) == []
    assert gate.at_least("coverage", None, 0.5, "min_coverage") == []


@pytest.mark.parametrize(
    ("n_users", "effective", "measured"),
    [
        (0, 0.0, "0 were measured"),
        (1, 1.0, "1 was measured"),
        (3, 3.0, "3 were measured"),
        (80, 1.05, "80 were measured and count as 1.1, as some have most of the ratings"),
    ],
)
def test_what_too_few_users_say_nothing_of_is_named(n_users: int, effective: float, measured: str):
    few = Comparison("rating", "rmse", "published", 1.0, 0.9, (None, None), n_users, effective)
    other = Comparison("rating", "mae", "published", 1.0, 0.9, (None, None), n_users, effective)
    assert gate.quality([few, other], SETTINGS) == []
    assert gate.not_judged([few, other], SETTINGS) == [
        "too few users to judge rmse of the rating model against published: "
        f"{measured}, expected at least 20"
    ]
    enough = comparison(0.06, 0.07, -0.03, 0.01, "popularity")
    assert gate.not_judged([enough], SETTINGS) == []


def test_a_run_passes_on_what_was_not_judged_and_the_verdict_says_so():
    verdict = gate.verdict([], False, ["too few"])
    assert (verdict["passed"], verdict["not_judged"]) == (True, ["too few"])
