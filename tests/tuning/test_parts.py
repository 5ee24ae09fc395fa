"""The split of tuning: no trial sees the ratings that the result is measured on."""

from dataclasses import replace

import numpy as np
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.split import holdout_mask
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.run_tables import read_ratings
from cofi_jobs.tuning.parts import parts
from tests.support.data import tasteful_ratings
from tests.support.tuning import prepared


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Ratings:
    store = prepared(tmp_path_factory.mktemp("parts") / "store", tasteful_ratings())
    return read_ratings(store.table("n1", "normalized"))


def test_the_split_is_that_of_train_within_that_of_train(ratings: Ratings):
    settings = load_settings()
    hidden = holdout_mask(ratings, None, settings)
    inner, outer = parts(ratings, hidden, None, settings, Scale(1, 5), 5)
    assert (outer.test.rating == ratings.where(hidden).rating).all()
    assert len(inner.train.rating) + len(inner.test.rating) == len(outer.train.rating)
    assert set(inner.relevant.rating) == {4, 5}


def test_of_many_users_some_are_drawn(ratings: Ratings):
    hidden = holdout_mask(ratings, None, load_settings())
    ratings = replace(ratings, trust=1 / np.bincount(ratings.user_index).astype(np.float32))
    few, all_ = (
        parts(ratings, hidden, None, load_settings([f"tune_users={n}"]), Scale(1, 5), 5)[1]
        for n in (50, 150)
    )
    assert few.train.n_users == 50
    assert set(few.train.user_index) == set(range(50))
    assert few.train.n_items == all_.train.n_items
    both = np.append(few.train.user_index, few.test.user_index)
    assert few.train.trust is not None
    assert few.train.trust.tolist() == (1 / np.bincount(both).astype(np.float32)).tolist()
    assert len(few.train.rating) < len(all_.train.rating) / 2


def test_without_a_liked_rating_there_is_nothing_to_measure(ratings: Ratings):
    hidden = holdout_mask(ratings, None, load_settings())
    with pytest.raises(DataError, match="0 of 6 and up to measure on"):
        parts(ratings, hidden, None, load_settings(["liked_from=6"]), Scale(1, 5), 5)
