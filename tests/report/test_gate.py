"""Checks on bars: the right sign, the same digits, and the worst first."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.report.gate import at_most, gate_part, gauge, place, same_digits, share_beyond


def check(name: str, value: float, bound: float, passed: bool, **more: str) -> dict[str, Any]:
    return {"name": name, "value": value, "bound": bound, "passed": passed, **more}


@pytest.mark.parametrize(
    ("name", "value", "bound", "passed", "expected"),
    [
        ("rmse of the rating model against damped_means", 0.9, 0.8, True, True),
        ("ndcg@10 of the ranking model against published", 0.1, 0.2, False, False),
        ("catalogue coverage@20", 0.5, 0.001, True, False),
        ("new ratings", 0.9, 20.0, True, True),
        ("new ratings", 30.0, 20.0, False, True),
        ("new ratings", 0.9, 0.01, True, False),
        ("new ratings", 0.001, 0.01, False, False),
    ],
)
def test_records_of_older_versions_say_the_direction_by_name_and_result(
    name: str, value: float, bound: float, passed: bool, expected: bool
):
    assert at_most(check(name, value, bound, passed)) == expected
    assert at_most(check("anything", 1, 2, True, better="lower"))
    assert not at_most(check("rmse", 1, 2, True, better="higher"))


@given(st.floats(0, 1e6), st.floats(0, 1e6))
@settings(max_examples=60)
def test_both_numbers_have_the_same_digits(value: float, bound: float):
    texts = same_digits(value, bound)
    decimals = {len(text.partition(".")[2]) for text in texts}
    assert len(decimals) == 1
    if abs(value - bound) > 1e-6:
        assert texts[0] != texts[1]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
@settings(max_examples=60)
def test_places_keep_the_order_and_the_side(one: float, other: float):
    assert 0 <= place(one) <= 100
    assert (place(one) <= place(other)) or one > other
    assert (place(one) >= 50) == (one >= -1e-5) or place(one) == 50


def test_a_small_distance_can_be_seen_beside_a_large_one():
    assert place(0.005) > 51
    assert place(500) < 100.01
    assert place(math.inf) == 100
    assert share_beyond(0.9, 1.0, lower=True) == pytest.approx(0.1)
    assert share_beyond(0.9, 1.0, lower=False) == pytest.approx(-0.1)
    assert share_beyond(0.5, 0.0, lower=False) == math.inf


def test_the_interval_is_that_of_the_difference_on_the_side_of_the_value():
    name = "rmse of the rating model against published"
    compared = {
        **{"head": "rating", "measure": "rmse", "against": "published"},
        **{"other": 0.8, "low": -0.01, "high": 0.03},
    }
    shown = gauge(check(name, 0.81, 0.808, True), [compared])
    assert (shown.sign, shown.value, shown.bound) == ("≤", "0.8100", "0.8080")
    assert shown.low is not None
    assert shown.high is not None
    assert shown.low < shown.at < 50 < shown.high
    assert shown.remark == "0.2% short, but not surely worse"
    assert shown.name == "RMSE of predicted ratings, against the published run"


def test_what_refuses_comes_first_and_what_is_clear_is_folded():
    checks = [
        check("catalogue coverage@20", 1.0, 0.001, True),
        check("ndcg@10 of the ranking model against popularity", 0.11, 0.1, True),
        check("share of rows of <b>", 0.1, 0.5, False),
    ]
    shown = str(gate_part({"checks": checks}, []))
    assert shown.index("share of rows of &lt;b&gt;") < shown.index("NDCG@10 of the lists")
    assert shown.index("NDCG@10") < shown.index("1 check passed with much to spare")
    assert shown.index("much to spare") < shown.index("catalogue coverage@20")
    assert "must be ≥ 0.5000" in shown
