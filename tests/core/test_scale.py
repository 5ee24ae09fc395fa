"""The rating scale."""

import numpy as np
import pytest

from cofi_jobs.core.scale import Scale


@pytest.mark.parametrize(
    ("scale", "unit", "relevant_from"),
    [(Scale(1, 5), 1, 4), (Scale(0.5, 5), 1.125, 3.875), (Scale(-10, 10), 5, 5)],
)
def test_a_unit_is_a_quarter_of_the_scale_and_three_quarters_up_it_ratings_are_relevant(
    scale, unit, relevant_from
):
    assert scale.unit == unit
    assert scale.relevant_from == relevant_from


def test_predictions_outside_the_scale_are_moved_to_its_ends():
    clipped = Scale(1, 5).clip(np.array([0.2, 3.3, 7.0], np.float32))
    assert clipped.dtype == np.float32
    assert clipped.tolist() == [1, np.float32(3.3), 5]
