"""Two settings compared on test ratings: each model is fitted with both, unless they are alike."""

import numpy as np
import pytest

from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.tuning.comparison import compare, is_same
from cofi_jobs.tuning.measure import measure
from cofi_jobs.tuning.parts import Part, parts

SMALL = ["n_factors=4", "ranking_steps=6", "rating_steps=6", "ratings_per_step=0"]


@pytest.fixture(scope="module")
def part() -> Part:
    rng = np.random.default_rng(5)
    user, item = np.nonzero(rng.random((60, 40)) < 0.4)
    rating = rng.integers(1, 6, len(user)).astype(np.float32)
    ratings = Ratings(user.astype(np.int32), item.astype(np.int32), rating, 60, 40)
    is_test = rng.random(len(user)) < 0.2
    return parts(ratings, is_test, None, load_settings(SMALL), Scale(1, 5), 5.0)[1]


@pytest.mark.parametrize("setting", ["ranking_alpha=2.5", "rating_lambda=9", "n_factors=8"])
def test_both_values_are_those_of_fits_with_the_two_settings(part: Part, setting: str) -> None:
    before, after = load_settings(SMALL), load_settings([*SMALL, setting])
    changes = compare(part, before, after, part.models, n_seeds=1)
    for model in part.models:
        name = {"ranking": f"ndcg@{before.ndcg_at}", "rating": "rmse"}[model]
        expected = [measure(part, model, settings)[name].value() for settings in (before, after)]
        assert [changes[name].before, changes[name].after] == pytest.approx(expected, rel=1e-5)


def test_what_a_setting_does_not_change_need_not_be_compared(part: Part) -> None:
    before, after = load_settings(SMALL), load_settings([*SMALL, "ranking_alpha=2.5"])
    same = {model: is_same(model, before, after, part.scale) for model in part.models}
    assert same == {"ranking": False, "rating": True}
    assert set(compare(part, before, after, ["ranking"], n_seeds=1)) == {"ndcg@10", "recall@20"}
    assert compare(part, before, before, [], n_seeds=1) == {}
