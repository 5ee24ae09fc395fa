"""Groups of users and of items, by hand."""

import numpy as np
import pytest

from cofi_jobs.core.arrays import tally
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation.baselines import PREDICTIONS, RANKINGS
from cofi_jobs.evaluation.groups import Activity, by_activity, by_popularity
from cofi_jobs.evaluation.metrics import errors_of_rows, mean_of
from cofi_jobs.evaluation.ranking_metrics import Lists
from cofi_jobs.evaluation.split import Split

# Users 0 to 5 have 1 to 6 train ratings, of items 0, 1, ...; each has one test rating, of item 5.
USER = np.repeat(np.arange(6), np.arange(1, 7))
ITEM = np.concatenate([np.arange(n) for n in range(1, 7)])
EVERYBODY = np.ones(6, bool)


STARS = np.array([1.0, 2, 3, 4, 5, 5])  # of the test ratings


def split(measured: np.ndarray = EVERYBODY, n_test: int = 6) -> Split:
    user = np.append(USER, np.arange(n_test))
    order = np.argsort(user, kind="stable")
    item, stars = (
        np.append(ITEM, np.full(n_test, 5)),
        np.append(np.full(len(USER), 3.0), STARS[:n_test]),
    )
    ratings = Ratings(user[order], item[order], stars[order], 6, 7)
    return Split.of(ratings, order >= len(USER), measured, 4.0)


def test_users_are_in_thirds_by_their_train_ratings():
    values = np.array([0.0, 1, 0, 1, 1, 1])
    means = {model: {"m": mean_of(values)} for model in (*PREDICTIONS, *RANKINGS)}
    parted = split()
    activity = Activity.of(parted.counts.n_tested)
    group = activity.group(tally(parted.train.user_index, 6), parted.n_test)
    sums = {
        model: {name: mean.by(group, activity.n_groups) for name, mean in of_model.items()}
        for model, of_model in means.items()
    }
    few, some, many = by_activity(activity, sums)
    assert [few["ratings"], some["ratings"], many["ratings"]] == ["few", "some", "many"]
    assert [(group["from"], group["to"]) for group in (few, some, many)] == [(1, 2), (3, 4), (5, 6)]
    assert [group["users"] for group in (few, some, many)] == [2, 2, 2]
    assert [group["item_knn"]["m"] for group in (few, some, many)] == [0.5, 0.5, 1]


def test_without_test_ratings_there_are_no_groups_of_users():
    activity = Activity.of(split(n_test=0).counts.n_tested)
    assert by_activity(activity, {}) == []
    assert activity.group(np.arange(1, 7), np.zeros(6, int)).tolist() == [3] * 6


@pytest.mark.parametrize("n_users", [1, 2, 3, 4, 5, 300, 301, 302])
def test_the_thirds_are_those_of_quantiles(n_users: int):
    rng = np.random.default_rng(n_users)
    for most in (2, 7, 400):
        n_train = rng.integers(0, most, n_users)
        activity = Activity.of(np.bincount(n_train))
        expected = np.searchsorted(np.quantile(n_train, (1 / 3, 2 / 3)), n_train)
        assert activity.group(n_train, np.ones(n_users)).tolist() == expected.tolist()


def test_items_are_in_groups_with_a_third_of_the_ratings_each():
    # Items 0 to 5 have 6 to 1 train ratings, item 6 has none.
    lists = Lists({}, np.array([5, 3, 0, 0, 1, 1, 0]), np.array([0, 0, 0, 0, 0, 1, 0]), 10, 20)
    of_five = EVERYBODY.copy()
    of_five[5] = False  # a user with a relevant rating whose list is not measured
    errors = errors_of_rows(np.full(6, 3.0), STARS, np.full(6, 5), 7)
    groups = by_popularity(split(of_five), errors, {"ranking": lists})
    assert [group["items"] for group in groups] == ["popular", "middle", "rare"]
    assert [(group["n_items"], group["from"], group["to"]) for group in groups] == [
        (2, 5, 6),
        (1, 4, 4),
        (4, 0, 3),
    ]
    assert [group["wanted"] for group in groups] == [0, 0, 2]
    assert [group["ranking"]["recall"] for group in groups] == [None, None, 0.5]
    assert [group["ranking"]["shown"] for group in groups] == [0.8, 0, 0.2]
    assert [group["rating"]["mae"] for group in groups] == [None, None, pytest.approx(8 / 6)]
