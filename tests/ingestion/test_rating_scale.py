"""The scale of a first run: errors far outside are left aside, rare honest ends are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.ingestion.rating_scale import shown_scale

STARS = {1.0: 60, 2.0: 110, 3.0: 270, 4.0: 350, 5.0: 210}
HALF_STARS = {n / 2: 1000 + n for n in range(1, 11)}


def scale_of(counts: dict[float, int]) -> tuple[float, float]:
    values = np.array(sorted(counts))
    return shown_scale(values, np.array([counts[value] for value in values]))


@pytest.mark.parametrize(
    ("counts", "scale"),
    [
        (STARS, (1, 5)),
        (HALF_STARS, (0.5, 5)),
        ({4: 5, 5: 6}, (4, 5)),
        ({3: 7}, (3, 3)),
        ({1: 1, 10: 1}, (1, 10)),
        # errors
        (HALF_STARS | {50: 1}, (0.5, 5)),
        (STARS | {50: 1}, (1, 5)),
        (STARS | {50: 3, 500: 1, 1e9: 1}, (1, 5)),
        (STARS | {-99: 1, 99: 1}, (1, 5)),
        (STARS | {10: 1}, (1, 5)),
        (STARS | {0: 1, 55: 1}, (0, 5)),
        ({1: 5, 2: 5, 3: 5, 4: 5, 5: 960, 45: 1}, (1, 5)),
        # honest rare ends
        (HALF_STARS | {0.5: 1}, (0.5, 5)),
        (STARS | {1: 1}, (1, 5)),
        ({7: 300, 8: 3000, 9: 3000, 10: 3000, 6: 2, 4: 1, 1: 1}, (1, 10)),
        ({9: 5000, 10: 5000, 1: 1}, (1, 10)),
        ({1: 1, 3: 1000, 4: 1000, 5: 1000}, (1, 5)),
        ({0: 1, 50: 400, 75: 400, 100: 400}, (0, 100)),
        ({0: 3, 60: 2, 75: 4, 80: 5, 90: 4, 100: 2}, (0, 100)),
        (STARS | {0: 1}, (0, 5)),
        (STARS | {6: 1}, (1, 6)),
        # too few to tell
        ({3: 1, 4: 2, 5: 2, 50: 1}, (3, 50)),
        # what many gave is no error
        (STARS | {99: 300}, (1, 99)),
    ],
)
def test_which_ratings_are_the_ends(counts: dict[float, int], scale: tuple[float, float]) -> None:
    assert scale_of(counts) == scale


def test_a_continuous_scale_has_its_ends() -> None:
    values = np.unique(np.random.default_rng(0).normal(2, 3, 50_000).clip(-10, 10))
    ones = np.ones(len(values), int)
    assert shown_scale(values, ones) == (values[0], values[-1])
    with_error = np.append(values, 99)
    assert shown_scale(with_error, np.append(ones, 1)) == (values[0], values[-1])


scales = st.lists(
    st.integers(5, 1000), min_size=3, max_size=11
)  # how often each step of an honest scale is given


@given(scales, st.integers(-10, 10), st.sampled_from([0.5, 1.0, 10.0]))
@settings(max_examples=60)
def test_a_scale_of_which_each_step_is_given_is_taken_whole(
    counts: list[int], start: int, step: float
) -> None:
    values = start + step * np.arange(len(counts))
    assert shown_scale(values, np.array(counts)) == (values[0], values[-1])


@given(scales, st.integers(12, 10_000), st.booleans())
@settings(max_examples=60)
def test_one_error_among_many_ratings_is_left_aside(
    counts: list[int], spans: int, is_below: bool
) -> None:
    values = np.arange(len(counts), dtype=float)
    error = -spans * len(counts) if is_below else spans * len(counts)
    with_error = dict(zip(values, (1000 * n for n in counts), strict=True)) | {float(error): 1}
    assert scale_of(with_error) == (values[0], values[-1])
