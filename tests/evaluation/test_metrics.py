"""Errors of predicted ratings by hand."""

import numpy as np
import pytest

from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation.metrics import errors
from tests.support.ratings import pairs


def test_rmse_and_mae_by_hand():
    test = Ratings(np.array([0, 0, 2]), np.array([0, 1, 0]), np.array([1.0, 4.0, 3.0]), 3, 2)
    measured = errors(np.array([1.0, 2.0, 2.0]), test)
    assert measured["rmse"].value() == pytest.approx(np.sqrt(5 / 3))
    assert measured["mae"].value() == pytest.approx(1)
    assert measured["rmse"].of(np.array([True, False, False])).value() == pytest.approx(np.sqrt(2))


def test_no_test_rating_is_no_error():
    assert errors(np.array([]), pairs([], []))["rmse"].value() is None
