"""Top-k against a full sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.ranking.top_k import block_size, top_k, top_k_unrated


def full_sort(scores: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest, ties to the lower column."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_top_k_is_the_head_of_a_full_sort_with_ties_and_masks(data):
    n_rows, n_columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 400))
    k = data.draw(st.integers(1, 12))
    levels = data.draw(st.sampled_from([1, 3, 50, 10**6]))  # few levels: many ties
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    scores = rng.integers(0, levels, (n_rows, n_columns)).astype(np.float32)
    scores[rng.random(scores.shape) < data.draw(st.sampled_from([0, 0.3, 0.99]))] = -np.inf
    columns, values = top_k(scores, k)
    expected = full_sort(scores, k)
    assert columns.shape == expected.shape
    np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, axis=1))
    real = np.isfinite(values)
    np.testing.assert_array_equal(columns[real], expected[real])


@pytest.mark.parametrize("n_columns", [31, 32, 33, 5000, 5001])
def test_top_k_of_real_numbers(n_columns):
    scores = np.random.default_rng(n_columns).normal(size=(50, n_columns)).astype(np.float32)
    columns, _ = top_k(scores, 20)
    np.testing.assert_array_equal(columns, full_sort(scores, 20))


def test_rows_with_few_takeable_entries_or_nothing_but_ties_do_not_disturb_the_others():
    scores = np.random.default_rng(1).normal(size=(6, 3000)).astype(np.float32)
    scores[1], scores[4] = 0, -np.inf
    scores[4, [7, 2900]] = 1
    columns, values = top_k(scores, 20)
    real = np.isfinite(values)
    np.testing.assert_array_equal(real.sum(axis=1), [20, 20, 20, 20, 2, 20])
    np.testing.assert_array_equal(columns[real], full_sort(scores, 20)[real])


def test_rated_entries_never_come_and_lists_stay_full():
    scores = np.tile(np.arange(1000, dtype=np.float32), (2, 1))
    rows, items = np.repeat([0, 1], 500), np.concatenate([np.arange(500, 1000), np.arange(0, 500)])
    columns, values = top_k_unrated(scores, rows, items, 10)
    np.testing.assert_array_equal(columns, [np.arange(499, 489, -1), np.arange(999, 989, -1)])
    assert np.isfinite(values).all()


def test_a_block_of_scores_stays_within_32_mib():
    for n_items in (1, 1000, 17_000, 10**6, 10**9):
        assert block_size(n_items) >= 1
        assert block_size(n_items) * n_items * 4 <= 32 << 20 or block_size(n_items) == 1
