"""What a search gained: percent of the value before, positive where it is better, with interval."""

import pytest

from cofi_jobs.report.tuning import gain, gains, was_tuned


def change(better: str, before: float, after: float, *ends: float | None) -> dict:
    low, high = ends or (None, None)
    return {
        **{"better": better, "before": before, "after": after, "difference": after - before},
        **{"low": low, "high": high},
    }


def test_a_lower_error_and_a_higher_measure_are_both_gains():
    error = gain("rmse", change("lower", 1.0, 0.9, -0.15, 0.05))
    assert error.label == "RMSE: 1.0000 → 0.9000"
    assert error.value == pytest.approx(10)
    assert (error.low, error.high) == (pytest.approx(-5), pytest.approx(15))
    ndcg = gain("ndcg@10", change("higher", 0.2, 0.25, 0.01, 0.09))
    assert (ndcg.value, ndcg.low, ndcg.high) == (*map(pytest.approx, (25, 5, 45)),)


def test_without_interval_or_value_before():
    dot = gain("rmse", change("lower", 1.0, 1.1))
    assert (round(dot.value), dot.low, dot.high) == (-10, None, None)
    assert gains({"rmse": change("lower", 0.0, 0.0)}) == []
    [plot] = gains({"ndcg@10": change("higher", 0.2, 0.25, 0.01, 0.09)})
    assert "+25.0" in plot.drawing
    assert "NDCG@10: 0.2000 → 0.2500" in plot.drawing


def test_a_run_without_a_search_has_no_such_section():
    assert not was_tuned({"train": {"tuned": None}})
    assert was_tuned({"train": {"tuned": {"settings": {"n_factors": 8}}}})
    assert was_tuned({"train": {"first_search": {"settings": {}, "measures": {}, "tried": {}}}})
