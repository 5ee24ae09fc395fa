"""Lists between two nights are those that the night published, whatever the store."""

import json
import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cofi_jobs.core.errors import DamageError, DataError, StoreError
from cofi_jobs.serve import Recommendation, Recommender, recommend_for
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import layout
from cofi_jobs.store.reader import ArrowRun, current_run
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night
from tests.support.repository import ROOT
from tests.support.served import KINDS, Served, given_by, serve, times_of

Stores = Callable[[str], Served]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """The published store of each kind; not to be changed."""
    return cache(lambda name: serve(tmp_path_factory.mktemp(name), KINDS[name]))


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest, stores: Stores) -> Served:
    return stores(request.param)


@pytest.fixture(scope="module")
def of_ratings(stores: Stores) -> Served:
    return stores("ratings")


def copied(served: Served, folder: Path) -> Store:
    return Store(shutil.copytree(served.run.store.root, folder / "store", symlinks=True))


def assert_same(listed: list[Recommendation], expected: list[Recommendation] | list[dict]) -> None:
    """The same items for the same reasons in the same order; scores to the precision of float32."""
    names = ("item_id", "rank", "because_item_id")
    tables = [
        [row if isinstance(row, dict) else vars(row) for row in t] for t in (listed, expected)
    ]
    left, right = ([[row[name] for name in names] for row in table] for table in tables)
    assert left == right
    for name in ("score", "predicted_rating"):
        scores, others = (np.array([row[name] for row in table], float) for table in tables)
        np.testing.assert_allclose(scores, others, rtol=1e-4, atol=1e-5, err_msg=name)


# ---- the lists


def test_a_user_without_new_ratings_gets_the_published_list(served: Served):
    for user in served.users:
        published = served.published(user)
        assert len(published) > 3
        assert_same(served.recommender.recommend_for({}, user_id=user), published)


def test_a_new_user_with_the_ratings_of_another_gets_the_others_list(served: Served):
    for user in served.users:
        times = times_of(served.run, user)
        listed = served.recommender.recommend_for(given_by(served.run, user), times=times)
        assert_same(listed, served.published(user))


@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_new_ratings_come_on_top_of_those_of_the_run(served: Served, data: st.DataObject):
    user = data.draw(st.sampled_from(served.users))
    value = st.none() | st.integers(2, 5).map(float)
    new = data.draw(st.dictionaries(st.sampled_from(served.items), value, max_size=12))
    before = given_by(served.run, user)
    merged = {item: rating for item, rating in before.items() if item not in new}
    times = dict(zip(before, times_of(served.run, user), strict=True))
    for number, (item, rating) in enumerate(new.items()):
        if rating is not None:
            merged[item] = rating + (before.get(item, 0) if served.kind.events else 0)
            times[item] = 2e9 + number
    listed = served.recommender.recommend_for(new, user_id=user)
    expected = served.recommender.recommend_for(merged, times=[times[item] for item in merged])
    assert_same(listed, expected)
    if merged:
        assert not {row.item_id for row in listed} & {*merged, served.kind.denied}


def test_what_is_new_counts_as_a_night_counts_it(served: Served, tmp_path: Path):
    store, user = copied(served, tmp_path), served.users[3]
    known = list(given_by(served.run, user))
    unrated = next(item for item in served.items if item not in known)
    new = {known[1]: 4.0, unrated: 3.0, known[0]: None, known[2]: 5.0}
    frame = pd.DataFrame(
        {
            "userId": user,
            "movieId": list(new),
            "plays" if served.kind.events else "rating": list(new.values()),
            "op": ["delete" if value is None else "upsert" for value in new.values()],
            "timestamp": 1_100_000_000 + np.arange(len(new)),
        }
    )
    if served.kind.named:
        frame = frame.drop(columns="timestamp")
    write_ratings(store.landing / "new.csv", frame)
    for task in ("ingest", "normalize"):
        run_task(task, store, served.settings, "n2")
    run = ArrowRun(store, "n2", served.run.manifest)
    tonight = given_by(run, user)
    assert unrated in tonight
    assert known[0] not in tonight
    listed = served.recommender.recommend_for(new, user_id=user)
    expected = served.recommender.recommend_for(tonight, times=times_of(run, user))
    assert_same(listed, expected)


def test_a_longer_or_shorter_list_is_the_beginning_of_the_same(of_ratings: Served):
    given = given_by(of_ratings.run, of_ratings.users[0])
    everything = of_ratings.recommender.recommend_for(given, n=10_000)
    n_left = len(of_ratings.run.items()) - len(given)
    assert [row.rank for row in everything] == list(range(1, n_left + 1))
    assert_same(everything[:7], of_ratings.recommender.recommend_for(given, n=7))
    assert everything[0].title == f"Title of {everything[0].item_id}"
    assert everything[0].because_title == f"Title of {everything[0].because_item_id}"


def test_who_has_no_ratings_gets_the_popular_items(served: Served):
    popular = served.run.popular_items().to_pandas()
    user = served.users[0]
    withdrawn = dict.fromkeys(given_by(served.run, user))
    for listed in (
        served.recommender.recommend_for({}, n=12),
        served.recommender.recommend_for({}, n=12, user_id="0" if not served.kind.named else "?"),
        served.recommender.recommend_for(withdrawn, n=12, user_id=user),
    ):
        assert [(row.item_id, row.rank, row.score) for row in listed] == list(
            popular[["item_id", "rank", "score"]].head(12).itertuples(index=False, name=None)
        )
        assert {(row.predicted_rating, row.because_item_id) for row in listed} == {(None, None)}


def test_a_run_of_the_first_release_is_recommended_from(of_ratings: Served, tmp_path: Path):
    store = copied(of_ratings, tmp_path)
    first = json.loads((ROOT / "tests" / "data" / "first_manifest.json").read_text())
    now = store.records.manifest("n1")
    assert now is not None
    store.records.write_manifest("n1", first | {"run_key": "n1", "files": now["files"]})
    listed = recommend_for(store, {}, n=5, user_id=of_ratings.users[0])
    assert [row.rank for row in listed] == [1, 2, 3, 4, 5]


def test_an_item_that_is_denied_by_day_is_gone_from_the_next_load(
    of_ratings: Served, tmp_path: Path
):
    store = copied(of_ratings, tmp_path)
    user = of_ratings.users[0]
    [first, *_] = Recommender(store).recommend_for({}, user_id=user)
    [most_liked, *_] = Recommender(store).recommend_for({})
    (store.item_lists / "deny.txt").write_text(f"{first.item_id}\n{most_liked.item_id}\n")
    recommender = Recommender(store)
    for listed in (recommender.recommend_for({}, 30, user), recommender.recommend_for({}, 30)):
        assert not {row.item_id for row in listed} & {first.item_id, most_liked.item_id}
        assert [row.rank for row in listed] == list(range(1, len(listed) + 1))


# ---- what is given


def test_ids_may_be_text_and_numbers_may_be_numpys(of_ratings: Served):
    given = given_by(of_ratings.run, of_ratings.users[0])
    text = {f" {item}.0 ": rating for item, rating in given.items()}
    numbers = {np.int64(item): np.float32(rating) for item, rating in given.items()}
    expected = of_ratings.recommender.recommend_for(given)
    same: Any
    for same in (text, numbers):
        assert_same(of_ratings.recommender.recommend_for(same), expected)


def test_unknown_items_are_an_error_or_left_out(of_ratings: Served):
    given = given_by(of_ratings.run, of_ratings.users[0])
    more = {1: 5.0, 2: 5.0} | given | {3: None}
    with pytest.raises(DataError, match=r"found 3 item ids that run n1 does not know: 1, 2, 3; "):
        of_ratings.recommender.recommend_for(more)
    listed = of_ratings.recommender.recommend_for(more, ignore_unknown=True)
    assert_same(listed, of_ratings.recommender.recommend_for(given))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({100: 5.5}, DataError, "found 5.5 for item 100, expected a rating from 1 to 5, or None"),
        ({100: 0}, DataError, "found 0 for item 100"),
        ({100: float("nan")}, DataError, "found nan for item 100"),
        ({100: float("inf")}, DataError, "found inf for item 100"),
        ({100: 1e300}, DataError, r"found 1e\+300 for item 100"),
        ({100: "4"}, DataError, "found '4' for item 100"),
        ({100: True}, DataError, "found True for item 100"),
        ({100: 4, "100": 4}, DataError, "found item 100 twice"),
        ({"A Film": 4}, StoreError, "found the item_id 'A Film', expected an integer"),
        ({None: 4}, StoreError, "found the item_id None, expected an integer"),
        ([100, 107], DataError, "found ratings of type list, expected a mapping"),
    ],
)
def test_what_is_no_rating_is_told_in_one_sentence(of_ratings: Served, given, error, message):
    with pytest.raises(error, match=message):
        of_ratings.recommender.recommend_for(given)


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "20"])
def test_n_is_a_whole_number(of_ratings: Served, n):
    with pytest.raises(DataError, match="expected a whole number of at least 1"):
        of_ratings.recommender.recommend_for({}, n)


def test_a_user_id_that_no_user_can_have_is_an_error(of_ratings: Served):
    with pytest.raises(StoreError, match="found the user_id 'anna', expected an integer"):
        of_ratings.recommender.recommend_for({}, user_id="anna")


# ---- which run


def test_the_model_is_read_once(of_ratings: Served, tmp_path: Path):
    store = copied(of_ratings, tmp_path)
    recommender = Recommender(store)
    before = recommender.recommend_for({100: 5.0})
    shutil.rmtree(store.table("n1", "model"))
    assert recommender.recommend_for({100: 5.0}) == before
    assert recommender.refresh() == "n1"


@pytest.fixture(scope="module")
def nights(of_ratings: Served, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Published runs n1 and n2; readers use n1. Not to be changed."""
    store = copied(of_ratings, tmp_path_factory.mktemp("nights"))
    write_ratings(store.landing / "more.csv", random_ratings(n_items=30, seed=5))
    run_night(store, load_settings(QUICK), "n2")
    store.set_current("n1")
    return store


@pytest.fixture
def two_runs(nights: Store, tmp_path: Path) -> Store:
    """The same, to be changed."""
    return Store(shutil.copytree(nights.root, tmp_path / "store", symlinks=True))


def first_user(store: Store) -> int:
    user: int = current_run(store).users()["user_id"][0].as_py()
    return user


def test_the_next_night_is_used_at_once_or_when_asked_for(two_runs: Store):
    follows, waits = Recommender(two_runs), Recommender(two_runs, check_seconds=3600)
    tonight = Recommender(two_runs)
    user = first_user(two_runs)
    before = follows.recommend_for({}, user_id=user)
    assert_same(recommend_for(two_runs.root, {}, user_id=user), before)
    two_runs.set_current("n2")
    tonight.refresh()
    after = tonight.recommend_for({}, user_id=user)
    assert after != before
    for listed in (
        follows.recommend_for({}, user_id=user),
        recommend_for(str(two_runs.root), {}, user_id=user),
    ):
        assert_same(listed, after)
    assert_same(waits.recommend_for({}, user_id=user), before)
    assert (follows.run_key, waits.run_key, waits.refresh(), waits.run_key) == (
        *("n2", "n1"),
        *("n2", "n2"),
    )
    two_runs.set_current("n1")
    assert_same(follows.recommend_for({}, user_id=user), before)


def test_a_run_that_is_removed_makes_way_for_the_one_of_now(two_runs: Store):
    waits = Recommender(two_runs, check_seconds=3600)
    user = first_user(two_runs)
    two_runs.set_current("n2")
    shutil.rmtree(two_runs.table("n1", ""))
    listed = waits.recommend_for({}, user_id=user)
    assert waits.run_key == "n2"
    assert_same(listed, Recommender(two_runs).recommend_for({}, user_id=user))


def test_a_run_that_cannot_be_loaded_leaves_the_one_before(two_runs: Store, caplog):
    recommender = Recommender(two_runs)
    before = recommender.recommend_for({100: 5.0})
    two_runs.set_current("n2")
    factors = two_runs.table("n2", "model") / "item_factors.parquet"
    factors.write_bytes(factors.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        assert_same(recommender.recommend_for({100: 5.0}), before)
        assert_same(recommender.recommend_for({100: 5.0}), before)
    assert caplog.text.count("still recommending from run n1") == 1  # not tried in each call
    factors.unlink()
    with pytest.raises(DamageError, match=r"item_factors\.parquet is missing"):
        recommender.refresh()
    (two_runs.root / layout.CURRENT).write_text("{")
    with pytest.raises(StoreError, match="is not valid JSON"):
        recommender.refresh()
    assert_same(recommender.recommend_for({100: 5.0}), before)


def test_threads_see_whole_runs_while_runs_change(two_runs: Store):
    recommender, user = Recommender(two_runs), 10
    expected = []
    for key in ("n2", "n1"):
        two_runs.set_current(key)
        expected.append([row.item_id for row in recommender.recommend_for({}, user_id=user)])
    assert expected[0] != expected[1]
    stop = threading.Event()

    def ask() -> set[tuple[int | str, ...]]:
        seen = set()
        while not stop.is_set():
            listed = recommender.recommend_for({}, user_id=user)
            seen.add(tuple(row.item_id for row in listed))
        return seen

    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(ask) for _ in range(6)]
        for key in ("n2", "n1") * 3:
            two_runs.set_current(key)
            recommender.recommend_for({})
        stop.set()
        lists = set().union(*(future.result() for future in asked))
    assert lists <= set(map(tuple, expected))


def test_a_store_without_a_published_run_is_told(store: Store):
    with pytest.raises(StoreError, match="found no published run"):
        recommend_for(store.root, {})


def test_neither_tensorflow_nor_pandas_is_imported(of_ratings: Served):
    code = f"""
import sys
import cofi_jobs.serve
heavy = {{"tensorflow", "keras", "pandas", "airflow"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
listed = cofi_jobs.serve.recommend_for({str(of_ratings.run.store.root)!r}, {{100: 5}})
assert not {{"tensorflow", "keras"}} & set(sys.modules)
print(len(listed))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("5\n", "")


def test_a_list_goes_into_json(of_ratings: Served):
    listed = of_ratings.recommender.recommend_for({100: 5})
    [first, *_] = json.loads(json.dumps([vars(row) for row in listed]))
    assert first == vars(listed[0])
