"""Measures of similar items by hand and by plain loops, for any table of neighbours."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation.baselines import near_items
from cofi_jobs.evaluation.neighbours import (
    listed_neighbours,
    model_neighbours,
    popular_neighbours,
)
from cofi_jobs.evaluation.similar_items import (
    PAIRS_OF_A_USER,
    ItemGroups,
    Successions,
    hit_rates,
)
from cofi_jobs.evaluation.split import Split
from tests.support.ratings import drawn, pairs

EVERYBODY = np.ones(5, bool)


def split_of(train: Ratings, relevant: Ratings, measured: np.ndarray) -> Split:
    """All ratings are relevant; each user's test ratings are the last."""
    columns = [
        np.concatenate([getattr(part, name) for part in (train, relevant)])
        for name in ("user_index", "item_index", "rating")
    ]
    is_test = np.arange(len(columns[0])) >= len(train.rating)
    order = np.argsort(columns[0], kind="stable")
    user, item, stars = (column[order] for column in columns)
    ratings = Ratings(user, item, stars, train.n_users, train.n_items)
    return Split.of(ratings, is_test[order], measured, 1.0)


def pairs_of(successions: Successions) -> list[tuple[int, int, int]]:
    columns = successions.user, successions.item, successions.next_item
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_a_pair_is_a_test_item_and_what_its_user_liked_just_before():
    train = pairs([0, 0, 1, 3], [4, 2, 0, 1], 5, 6)
    relevant = pairs([0, 0, 1, 2, 2], [3, 1, 5, 0, 4], 5, 6)
    expected = [(0, 2, 3), (0, 3, 1), (1, 0, 5), (2, 0, 4)]
    assert pairs_of(Successions.of(split_of(train, relevant, EVERYBODY))) == expected
    without_1 = np.arange(5) != 1
    successions = Successions.of(split_of(train, relevant, without_1))
    measured = np.flatnonzero(without_1)
    found = [(measured[user], *items) for user, *items in pairs_of(successions)]
    assert found == [pair for pair in expected if pair[0] != 1]


def test_of_a_user_the_first_pairs_count():
    n = PAIRS_OF_A_USER + 3
    relevant = pairs([0] * n + [1] * 2, [*range(n), 4, 5], 2, n)
    successions = Successions.of(split_of(pairs([], [], 2, n), relevant, np.ones(2, bool)))
    expected = [(0, item, item + 1) for item in range(PAIRS_OF_A_USER)]
    assert pairs_of(successions) == [*expected, (1, 4, 5)]


def test_a_hit_is_the_next_item_among_the_neighbours():
    table = np.array([[1, 2], [0, -1], [-1, -1]])
    successions = Successions(
        np.array([0, 0, 0, 2]), np.array([0, 1, 1, 2]), np.array([2, 0, 2, 0])
    )
    rates = hit_rates(lambda items: table[items], successions, 4)
    np.testing.assert_array_equal(rates, [2 / 3, np.nan, 0, np.nan])
    nobody = Successions(*(np.empty(0, np.int64) for _ in range(3)))
    assert np.isnan(hit_rates(lambda items: table[items], nobody, 4)).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=3), min_size=1, max_size=12), st.data())
def test_shares_of_groups_are_those_of_plain_sets(groups: list[list[str]], data: st.DataObject):
    n_items = len(groups)
    others = st.lists(st.integers(0, n_items - 1), min_size=2, max_size=2)
    table = np.array([data.draw(others) for _ in range(n_items)])
    table[table == np.arange(n_items)[:, None]] = -1  # no item is its own neighbour
    texts = ["|".join(names) or None for names in groups]
    measured = ItemGroups.of(pa.chunked_array([texts], pa.string()), seed=0).shares(
        lambda items: table[items]
    )
    shares, by_chance = [], []
    for item, names in enumerate(groups):
        near = [other for other in table[item].tolist() if other >= 0]
        if names and near:
            alike = [bool(set(names) & set(other)) for other in groups]
            shares.append(np.mean([alike[other] for other in near]))
            by_chance.append((sum(alike) - 1) / (n_items - 1))
    expected = (np.mean(shares), np.mean(by_chance)) if shares else (None, None)
    assert measured == pytest.approx(expected)


def test_a_catalogue_without_groups_is_not_measured():
    groups = pa.chunked_array([[None, None]], pa.string())
    assert ItemGroups.of(groups, seed=0).shares(lambda items: items[:, None]) == (None, None)


def test_popular_neighbours_are_the_most_rated_others():
    neighbours = popular_neighbours(np.array([5, 9, 0, 7]), 2)
    assert neighbours(np.array([0, 1, 2, 3])).tolist() == [[1, 3], [3, 0], [1, 3], [1, 0]]
    assert popular_neighbours(np.array([5, 9]), 20)(np.array([0, 1])).tolist() == [[1], [0]]
    assert popular_neighbours(np.array([5]), 20)(np.array([0])).shape == (1, 0)


def test_listed_neighbours_are_the_first_of_each_item():
    relevant, _, _ = drawn(60, 20, seed=4)
    near = near_items(relevant, 5)
    table = listed_neighbours(near.item, near.other, 3, 20)(np.arange(20)[::-1])[::-1]
    for item, row in enumerate(table):
        expected = near.other[near.item == item][:3].tolist()
        assert row.tolist() == expected + [-1] * (3 - len(expected))


@pytest.mark.parametrize("measure", ["cosine", "distance"])
def test_a_models_neighbours_are_known_items_nearest_first(measure: str):
    X = np.array([[1, 0], [1, 0.1], [1, 0.5], [1, 0.05], [0, 1]], np.float32)
    table = model_neighbours(X, np.array([90, 90, 90, 0, 90]), 3, measure)(np.array([0, 3, 4]))
    assert table.tolist() == [[1, 2, 4], [-1, -1, -1], [2, 1, 0]]
    assert model_neighbours(X, np.full(5, 9), 3, measure)(np.empty(0, int)).shape[0] == 0
