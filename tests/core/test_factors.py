"""Stored models: rows by id, predictions within the scale."""

import numpy as np
import pyarrow as pa

from cofi_jobs.core.factors import Factors, StoredModel, predict, row_numbers
from cofi_jobs.core.scale import Scale


def test_rows_are_found_by_id():
    assert row_numbers(pa.array([5, 10, 15, 20]), pa.array([10, 12, 20])).tolist() == [-1, 0, -1, 2]
    assert row_numbers(pa.array(["a", "b"]), pa.array(["b", "z"])).tolist() == [-1, 0]


def test_predicted_ratings_are_the_item_means_plus_what_the_factors_add():
    rng = np.random.default_rng(0)
    X, W, b = (rng.normal(size=shape).astype(np.float32) for shape in ((4, 2), (3, 2), 3))
    rating, ranking = Factors(X, W, b), Factors(X, W, np.zeros(3, np.float32))
    means = np.array([1, 2, 3, 5], np.float32)
    model = StoredModel(pa.array([1, 2, 3]), pa.array([1, 2, 3, 4]), rating, ranking, means)
    user, item = np.array([0, 2, 1, 2]), np.array([3, 0, 1, 3])
    expected = [X[i] @ W[u] + b[u] for u, i in zip(user, item, strict=True)]
    np.testing.assert_allclose(predict(rating, user, item), expected, rtol=1e-5)
    clipped = np.clip(expected + means[item], 1, 5)
    np.testing.assert_allclose(model.predicted_ratings(user, item, Scale(1, 5)), clipped, rtol=1e-5)
