"""Axes: round ticks, values in their order, and small values that can be seen."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.report import axes

NUMBERS = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=8)


@given(NUMBERS)
@settings(max_examples=60)
def test_values_lie_on_the_axis_in_their_order(values: list[float]):
    for axis in (axes.linear(values), axes.signed_logarithmic(values)):
        places = [axis.at(value) for value in sorted(values)]
        assert places == sorted(places)
        assert all(0 <= place <= 100 for place in places)
        assert all(0 <= tick.at <= 100 for tick in axis.ticks)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6))
@settings(max_examples=60)
def test_there_are_a_few_round_ticks(low: float, width: float):
    ticks = axes.round_values(low, low + width)
    assert len(ticks) <= 7
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in ticks)


def test_ticks_are_round():
    assert axes.round_values(0, 1) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert [tick.text for tick in axes.logarithmic([3, 4000]).ticks] == [
        *("1", "10", "100", "1,000", "10,000")
    ]
    assert [tick.text for tick in axes.signed_logarithmic([-3, 200]).ticks] == [
        *("−100", "−10", "0", "10", "100")
    ]


def test_one_percent_can_be_seen_beside_three_hundred():
    axis = axes.signed_logarithmic([1, 300])
    assert axis.at(1) - axis.at(0) > 5
    assert math.isclose(axes.linear([5]).at(5), 50, abs_tol=0.1)
