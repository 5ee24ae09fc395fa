"""Warm start: rows are found by id, and a third of the steps is enough."""

import numpy as np
import pyarrow as pa
import pytest

from cofi_jobs.core.factors import (
    Factors,
    initial_factors,
    predict,
    row_numbers,
)
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.item_means import item_means
from cofi_jobs.model.models import fit_both
from cofi_jobs.model.observations import Observations
from cofi_jobs.model.warm_start import Start, carry_over
from cofi_jobs.settings.resolve import load_settings


def test_rows_are_carried_over_by_id():
    fresh, earlier = initial_factors(4, 3, 2, seed=1), initial_factors(3, 2, 2, seed=2)
    earlier = Factors(earlier.X, earlier.W, np.array([7, 8], np.float32))
    items = row_numbers(pa.array([5, 10, 15, 20]), pa.array([10, 12, 20]))
    users = row_numbers(pa.array(["a", "b", "c"]), pa.array(["b", "z"]))
    assert items.tolist() == [-1, 0, -1, 2]
    assert users.tolist() == [-1, 0, -1]
    carried = carry_over(fresh, earlier, users, items)
    np.testing.assert_array_equal(carried.X, [fresh.X[0], earlier.X[0], fresh.X[2], earlier.X[2]])
    np.testing.assert_array_equal(carried.W, [fresh.W[0], earlier.W[0], fresh.W[2]])
    np.testing.assert_array_equal(carried.b, [0, 7, 0])
    assert not np.shares_memory(carried.X, fresh.X)


@pytest.mark.slow
def test_a_third_of_the_steps_from_last_nights_factors_is_as_good_as_all_from_the_start():
    """A planted matrix of rank 4; the first run lacks a tenth of it, some users and items."""
    n_users, n_items, rng = 120, 90, np.random.default_rng(1)
    truth = rng.standard_normal((n_users, 4)) @ rng.standard_normal((4, n_items))
    stars = np.clip(3 + 0.6 * truth, 1, 5).astype(np.float32)
    chance = rng.random(truth.shape)
    hidden, seen = chance > 0.9, chance < 0.45
    early = seen & (chance < 0.4)
    early[-8:], early[:, -6:] = False, False
    settings = load_settings(
        [
            "n_factors=6",
            "ratings_per_step=256",
            "rating_steps=150",
            "ranking_steps=150",
            "rating_learning_rate=0.3",
            "rating_lambda=0.1",
            "recency=0",
        ]
    )

    def night(
        mask: np.ndarray, start: Start | None = None, third: bool = False
    ) -> tuple[Start, float, float]:
        user, item = (index.astype(np.int32) for index in np.nonzero(mask))
        ratings = Ratings(user, item, stars[mask], n_users, n_items)
        means = item_means(ratings, 1.0)
        chosen = settings.model_copy(
            update={"rating_steps": 50, "ranking_steps": 50} if third else {}
        )
        model = fit_both(Observations(ratings, means, Scale(1, 5)), chosen, start)
        assert model.rating is not None
        at_user, at_item = np.nonzero(hidden)
        error = predict(model.rating.factors, at_user, at_item) + means[at_item] - stars[hidden]
        scores = model.ranking.factors.W @ model.ranking.factors.X.T
        with np.errstate(invalid="ignore"):  # who has rated nothing has no order
            rank = np.mean(
                [
                    np.corrcoef(scores[row][hidden[row]], truth[row][hidden[row]])[0, 1]
                    for row in range(n_users)
                ]
            )
        return (
            Start(model.rating.factors, model.ranking.factors),
            float(np.sqrt(np.mean(error**2))),
            float(rank),
        )

    start, *_ = night(early)
    _, cold_rmse, cold_rank = night(seen)
    _, warm_rmse, warm_rank = night(seen, start)
    _, third_rmse, _ = night(seen, third=True)
    assert warm_rmse < cold_rmse + 0.01 < third_rmse - 0.005  # a third from the start is not enough
    assert warm_rank > cold_rank - 0.02
