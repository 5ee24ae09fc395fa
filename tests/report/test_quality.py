"""Improvements in percent of a baseline, positive where CoFi is better."""

import pandas as pd
import pytest

from cofi_jobs.report.quality import improvements

NAMES = {"ndcg": "ndcg@10", "recall": "recall@20"}


def comparisons(*rows: tuple) -> pd.DataFrame:
    columns = ["head", "measure", "against", "better", "other", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def test_lower_errors_and_higher_measures_are_both_improvements():
    rows = comparisons(
        ("rating", "rmse", "damped_means", "lower", 2.0, -0.5, -1.0, 0.5),
        ("ranking", "ndcg@10", "popularity", "higher", 0.5, 0.1, -0.05, 0.2),
    )
    rmse, ndcg = improvements(rows, NAMES)
    assert (rmse.label, rmse.value, rmse.low, rmse.high) == (
        "RMSE against damped means",
        *(25, -25, 50),
    )
    assert (ndcg.label, ndcg.value) == ("NDCG@10 against popularity", pytest.approx(20))
    assert (ndcg.low, ndcg.high) == (pytest.approx(-10), pytest.approx(40))


def test_what_has_no_interval_or_no_value_or_is_no_main_measure_is_left_out():
    rows = comparisons(
        ("rating", "rmse", "damped_means", "lower", 2.0, -0.5, None, None),
        ("rating", "rmse", "published", "lower", 0.0, -0.5, -1.0, 0.5),
        ("rating", "mae", "damped_means", "lower", 2.0, -0.5, -1.0, 0.5),
    )
    assert improvements(rows, NAMES) == []
    assert improvements(comparisons(), NAMES) == []
