"""Lists against slow oracles: what may be shown, the limit on groups, diversity; and that lists stay full."""

import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.core.errors import DataError
from cofi_jobs.ranking import lists
from cofi_jobs.ranking.lists import allowed_items, choose, first_groups, listed_ids
from cofi_jobs.ranking.top_k import top_k
from cofi_jobs.settings.fields import load_settings
from cofi_jobs.store.reader import current_run
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night


def greedy(candidates, k, groups, limit):
    """The best by score of which no group has more than its share."""
    taken: list[int] = []
    for item in candidates:
        if len(taken) < k and (
            not limit or groups[item] < 0 or sum(groups[i] == groups[item] for i in taken) < limit
        ):
            taken.append(item)
    return taken


def pool_of(candidates, k, groups, limit):
    size = lists.POOL * k
    while len(greedy(candidates[:size], k, groups, limit)) < k and size < len(candidates):
        size *= lists.GROWTH
    return candidates[:size]


def marginal_relevance(scores, candidates, unit, k, groups, limit, diversity):
    """MMR as in the paper: one user, one choice, one candidate and one chosen item at a time; with each its margin."""
    pool = pool_of(candidates, k, groups, limit)
    taken: list[int] = []
    margins: list[float] = []
    span = max(scores[pool[0]] - scores[pool[-1]], 1e-30) if pool else 1
    while len(taken) < k:
        gains = {}
        for item in pool:
            free = (
                not limit
                or groups[item] < 0
                or sum(groups[i] == groups[item] for i in taken) < limit
            )
            if item not in taken and free:
                closest = max((float(unit[item] @ unit[i]) for i in taken), default=0.0)
                gains[item] = (1 - diversity) * (
                    scores[item] - scores[pool[-1]]
                ) / span - diversity * closest
        if not gains:
            break
        best = max(gains, key=lambda item: gains[item])  # of equal gains the first in the pool
        margins.append(
            gains[best]
            - max((gain for item, gain in gains.items() if item != best), default=-np.inf)
        )
        taken.append(best)
    return taken, margins


@st.composite
def problems(draw):
    n_users, n_items, k = (
        draw(st.integers(1, 4)),
        draw(st.integers(1, 150)),
        draw(st.integers(1, 8)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scores = rng.normal(size=(n_users, n_items)).astype(np.float32)
    if draw(st.booleans()):  # many ties
        scores = np.round(scores)
    scores[rng.random(scores.shape) < draw(st.sampled_from([0, 0.3, 0.95]))] = -np.inf
    # Unequal groups, so that the first pool is often too small.
    chances = np.array(
        [0.1, *draw(st.sampled_from([(0.9, 0, 0), (0.85, 0.03, 0.02), (0.3, 0.3, 0.3)]))]
    )
    groups = rng.choice([-1, 0, 1, 2], size=n_items, p=chances / chances.sum()).astype(np.int32)
    return scores, k, to_unit_length(rng.normal(size=(n_items, 3)).astype(np.float32)), groups


def candidates_of(scores):
    return [int(item) for item in np.argsort(-scores, kind="stable") if np.isfinite(scores[item])]


@given(problems(), st.integers(0, 4))
@settings(max_examples=300, deadline=None)
def test_a_limit_on_groups_is_exact_and_lists_stay_full(problem, limit):
    scores, k, unit, groups = problem
    columns, values = choose(scores, k, unit, groups, max_per_group=limit)
    for row, own in enumerate(scores):
        keep = np.isfinite(values[row])
        assert columns[row][keep].tolist() == greedy(candidates_of(own), k, groups, limit)
        assert values[row][keep].tolist() == own[columns[row][keep]].tolist()
        assert keep.tolist() == sorted(keep, reverse=True)  # what is missing is missing at the end


@given(problems(), st.integers(0, 4), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
@settings(max_examples=300, deadline=None)
def test_diversity_is_marginal_relevance_and_lists_stay_full(problem, limit, diversity):
    scores, k, unit, groups = problem
    columns, values = choose(scores, k, unit, groups, max_per_group=limit, diversity=diversity)
    for row, own in enumerate(scores.astype(float)):
        expected, margins = marginal_relevance(
            own, candidates_of(own), unit, k, groups, limit, diversity
        )
        found = columns[row][np.isfinite(values[row])]
        assert len(found) == len(greedy(candidates_of(own), k, groups, limit))
        assert len(set(found)) == len(found)
        assert values[row][: len(found)].tolist() == own[found].tolist()
        for item, other, margin in zip(found, expected, margins, strict=True):
            if margin < 1e-5:  # too close for float32: what follows may differ
                break
            assert item == other


@given(problems(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_without_limit_and_diversity_it_is_the_plain_top_k(problem, with_groups):
    scores, k, unit, groups = problem
    for found, expected in zip(
        choose(scores, k, unit, groups if with_groups else None), top_k(scores, k), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    # The smallest diversity goes through the pool and must not change a list without ties.
    distinct = scores + np.arange(scores.shape[1], dtype=np.float32) / 1000
    columns, values = choose(distinct, k, unit, diversity=1e-9)
    expected, best = top_k(distinct, k)
    np.testing.assert_array_equal(values, best)
    np.testing.assert_array_equal(columns[np.isfinite(best)], expected[np.isfinite(best)])


def test_many_users_go_through_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    scores, unit = (
        rng.normal(size=(40, 90)).astype(np.float32),
        to_unit_length(rng.normal(size=(90, 4))),
    )
    whole = choose(scores, 5, unit, diversity=0.5)
    monkeypatch.setattr(lists, "POOL_BYTES", 7 * 4 * 25 * 4)  # seven users at once
    for found, expected in zip(choose(scores, 5, unit, diversity=0.5), whole, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_first_group_counts():
    groups = pa.chunked_array([["Drama|Action", "Action", None], ["", " Drama ", "Drama"]])
    codes = first_groups(groups)
    assert codes[[2, 3]].tolist() == [-1, -1]
    assert codes[0] == codes[4] == codes[5] != codes[1]
    assert (first_groups(pa.chunked_array([[None, None]], pa.string())) == -1).all()


def test_a_list_file_is_read_as_people_write_it(tmp_path):
    file = tmp_path / "deny.txt"
    file.write_bytes(
        b"\xef\xbb\xbf# withdrawn\r\n12\r\n\r\n  13  # again\r\nA#1 b\n#14\n\xc3\xa9t\xc3\xa9"
    )
    assert listed_ids(file) == ["12", "13", "A#1 b", "été"]
    assert listed_ids(tmp_path / "none.txt") is None
    file.write_bytes(b"\xff\xfe1\x002\x00")
    with pytest.raises(
        DataError, match=r"deny\.txt is not UTF-8 text.*expected one item id a line"
    ):
        listed_ids(file)


@pytest.mark.parametrize("ids", [pa.array([1, 2, 3, 4]), pa.array(["1", "2", "3", "4"])])
def test_allow_and_deny(store, ids, caplog):
    assert allowed_items(store, ids).all()
    (store.lists / "deny.txt").write_text("2\n7\n8\n9\n10\n")
    with caplog.at_level(logging.WARNING):
        assert allowed_items(store, ids).tolist() == [True, False, True, True]
    assert "deny.txt: 4 of 5 ids are no item: 7, 8, 9" in caplog.text
    (store.lists / "allow.txt").write_text("1\n2\n")
    assert allowed_items(store, ids).tolist() == [True, False, False, False]
    (store.lists / "allow.txt").write_text("2\n")
    with pytest.raises(DataError, match=r"no item that may be shown after .*deny\.txt \(5 ids\)"):
        allowed_items(store, ids)
    for text in ("", "99\n"):
        (store.lists / "allow.txt").write_text(text)
        with pytest.raises(
            DataError,
            match=r"after .*allow\.txt \(\d ids\); expected the id of an item, or no file",
        ):
            allowed_items(store, ids)


def test_what_is_barred_is_never_shown_and_every_list_is_full(store):
    ratings = random_ratings(n_items=40)
    write_ratings(store.landing / "ratings.csv", ratings)
    items = sorted(ratings["movieId"].unique())
    catalogue = pd.DataFrame(
        {"movieId": items, "title": "", "genres": [["A|B", "B", "C|A"][i % 3] for i in range(40)]}
    )
    catalogue.to_csv(store.catalogue / "movies.csv", index=False)
    (store.lists / "deny.txt").write_text("\n".join(map(str, items[:5])))
    counts = ratings["movieId"].value_counts()
    least = int(counts.loc[items[5:]].quantile(0.2)) + 1
    few = set(counts[counts < least].index)
    barred = few | set(items[:5])
    assert len(few - set(items[:5])) > 2
    limited = [f"min_item_ratings={least}", "max_per_group=2", "diversity=0.3", "similar_n=34"]
    ended = run_night(store, load_settings([*QUICK, *limited]), "n1")
    group = dict(zip(items, (genres[0] for genres in catalogue["genres"]), strict=True))
    shown = pd.read_parquet(store.table("n1", "recommendations"))
    assert not barred & set(shown["item_id"])
    rated = ratings.groupby("userId")["movieId"].agg(set)
    for user, own in shown.groupby("user_id"):
        eligible = [item for item in items if item not in barred and item not in rated[user]]
        assert own["rank"].tolist() == list(range(1, len(own) + 1))
        assert not rated[user] & set(own["item_id"])
        per_group = pd.Series([group[item] for item in eligible]).value_counts()
        assert len(own) == min(5, np.minimum(per_group, 2).sum())
        assert own["item_id"].map(group).value_counts().max() <= 2
    popular = current_run(store).popular_items()["item_id"].to_pylist()
    assert set(popular) == set(items) - barred
    similar = pd.read_parquet(store.table("n1", "similar_items"))
    assert set(similar["item_id"]) == set(items)  # a barred item still has similar items
    assert set(similar["similar_item_id"]) == set(
        items[5:]
    )  # min_item_ratings does not bar from these
    assert similar.groupby("item_id").size().loc[[items[0], items[9]]].tolist() == [34, 34]
    assert ended["similar_items"]["rows"] == len(similar)
    assert current_run(store).manifest["counts"]["recommend"]["barred_items"] == len(barred)


def test_settings_that_leave_nothing_or_limit_nothing_are_named(store, quick, caplog):
    write_ratings(store.landing / "ratings.csv", random_ratings())
    run_night(store, quick, "n1")
    for task in ("ingest", "normalize", "train"):
        run_task(task, store, load_settings([*QUICK, "warm_start=false"]), "n2")
    with pytest.raises(
        DataError, match=r"with 1000 ratings, the setting min_item_ratings; the most rated has \d\d"
    ):
        run_task("recommend", store, load_settings([*QUICK, "min_item_ratings=1000"]), "n2")
    with caplog.at_level(logging.WARNING):
        run_task("recommend", store, load_settings([*QUICK, "max_per_group=1"]), "n2")
    assert "max_per_group limits nothing" in caplog.text
    tables = [pd.read_parquet(store.table(key, "recommendations")) for key in ("n1", "n2")]
    pd.testing.assert_frame_equal(*tables)
