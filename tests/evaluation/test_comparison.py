"""Which means are compared, and over which users."""

import numpy as np
import pytest

from cofi_jobs.evaluation.baselines import PREDICTIONS, RANKINGS
from cofi_jobs.evaluation.cells import in_cells
from cofi_jobs.evaluation.comparison import Comparison, compare
from cofi_jobs.evaluation.metrics import mean_of


def test_a_record_has_the_names_of_the_manifest():
    comparison = Comparison(
        "ranking", "similarity@20", "popularity", 0.5, 0.75, (-0.5, None), 9, 7.5
    )
    assert list(comparison.to_record().items()) == [
        ("head", "ranking"),
        ("measure", "similarity@20"),
        ("against", "popularity"),
        ("better", "lower"),
        ("own", 0.5),
        ("other", 0.75),
        ("difference", -0.25),
        ("low", -0.5),
        ("high", None),
        ("users", 9),
        ("effective_users", 7.5),
    ]
    nothing = Comparison("rating", "rmse", "published", None, 0.9, (None, None), 0, 0.0)
    assert nothing.difference is None


def test_each_model_is_compared_with_its_baselines_and_with_the_published_run_on_common_users():
    rng = np.random.default_rng(0)
    users, compared = rng.random((7, 100)), np.arange(100) < 50
    means = {
        model: {measure: in_cells(mean_of(users[row]), seed=0)}
        for row, (model, measure) in enumerate(
            [(model, "rmse") for model in PREDICTIONS] + [(model, "ndcg@10") for model in RANKINGS]
        )
    }
    of_common, published = (
        {"ranking": {"ndcg@10": in_cells(mean_of(users[row]).of(compared), seed=0)}}
        for row in (4, 0)
    )
    intervals, comparisons = compare(means, of_common, published, seed=0)
    assert {model: list(of_model) for model, of_model in intervals.items()} == {
        "rating": ["rmse"],
        "ranking": ["ndcg@10"],
    }
    low, high = intervals["rating"]["rmse"]
    assert low is not None
    assert high is not None
    assert low < users[0].mean() < high
    assert [(c.model, c.against) for c in comparisons] == [
        *(("rating", model) for model in PREDICTIONS[1:]),
        *(("ranking", model) for model in RANKINGS[1:]),
        ("ranking", "published"),
    ]
    assert comparisons[0].value == pytest.approx(users[0].mean())
    assert comparisons[0].other == pytest.approx(users[1].mean())
    assert comparisons[-1].value == pytest.approx(users[4][:50].mean())
    assert comparisons[-1].other == pytest.approx(users[0][:50].mean())
