"""The model of what a step costs finds the costs that steps were made with."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.cost_model import Step, StepCost, network_seconds
from benchmarks.plans import PLANS, tabulate_plans

SIZES = [(16_000, 20_000), (60_000, 20_000), (16_000, 100_000), (90_000, 50_000)]
costs = st.one_of(st.just(0.0), st.floats(1e-3, 1e3))


@settings(max_examples=60, deadline=None)
@given(costs, costs, costs.filter(bool))
def test_the_costs_that_steps_were_made_with_are_found(rating, number, call):
    planted = StepCost(1e-6 * rating, 1e-9 * number, 1e-3 * call)
    steps = [
        Step(ratings, items, 64, processors, planted.seconds(ratings, 64 * items, processors))
        for ratings, items in SIZES
        for processors in (1, 2)
    ]
    fitted = StepCost.fitted(steps)
    for step in steps:
        numbers = step.n_items * step.n_factors
        assert fitted.seconds(step.n_ratings, numbers, step.processors) == pytest.approx(
            step.seconds, rel=1e-4
        )


def test_no_cost_is_below_zero():
    fitted = StepCost.fitted([Step(10**6, 10**5, 64, 1, 1.0), Step(4 * 10**6, 10**5, 64, 1, 0.5)])
    assert min(fitted.rating, fitted.number, fitted.call) >= 0


def test_what_the_network_takes_grows_with_the_depth_of_a_tree():
    assert network_seconds(10**6, 1, 10) == 0
    assert network_seconds(10**6, 2, 10) == pytest.approx(2 * 4e6 * 8 / 10e9)
    assert network_seconds(10**6, 1000, 10) == pytest.approx(20 * 4e6 * 8 / 10e9)


def test_there_is_a_row_for_each_plan():
    assert tabulate_plans(StepCost(1e-6, 1e-9, 1e-3), 1e-6).row_count == len(PLANS)
