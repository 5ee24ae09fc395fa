"""Ratings at equal times, or without a time, have no order: nothing of a run depends on it."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cofi_jobs.cli.show.evaluation import evaluation
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout import read_split
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings, tasteful_ratings, write_ratings
from tests.support.nights import run_night

SCALE = ["rating_low=1", "rating_high=5"]
PUBLISHED = ("recommendations", "similar_items", "popular_items", "evaluation")


def normalized(folder: Path, *nights: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What normalize makes of the ratings of some nights."""
    store = Store(folder).create()
    for number, ratings in enumerate(nights):
        if len(ratings):
            write_ratings(store.landing / f"{number}.csv", ratings)
        run_task("ingest", store, load_settings(SCALE), f"n{number}")
    run_task("normalize", store, load_settings(SCALE), f"n{len(nights) - 1}")
    tables = store.table(f"n{len(nights) - 1}", "normalized")
    return {path.name: pd.read_parquet(path) for path in tables.iterdir()}


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_neither_rows_nor_nights_order_ratings_of_equal_times(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    users = st.sampled_from([3, 20, -7, 4, 11, 10**15])
    pairs = st.tuples(users, st.sampled_from(["a", "B", "007", "É", "7"]))
    chosen = data.draw(st.lists(pairs, min_size=2, max_size=30, unique=True))
    rows = pd.DataFrame(chosen, columns=["userId", "movieId"])
    rows["rating"] = [1.0 + place % 5 for place in range(len(rows))]
    times = st.sampled_from([None, 10**9, 10**9 + 5])
    rows["timestamp"] = pd.array([data.draw(times) for _ in chosen], "Int64")
    shuffled = rows.iloc[data.draw(st.permutations(range(len(rows))))]
    first_night = data.draw(st.integers(1, len(rows)))
    # The first night decides whether "7" is a number or a text.
    is_text = [not item.isdigit() for item in shuffled["movieId"]]
    assume(any(is_text[:first_night]) == any(is_text))
    folder = tmp_path_factory.mktemp("stores")
    one = normalized(folder / "one", rows)
    two = normalized(folder / "two", shuffled[:first_night], shuffled[first_night:])
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, two[name], check_exact=True)


def published(folder: Path, ratings: pd.DataFrame, *changes: str) -> dict[str, Any]:
    """The tables that a run publishes, and the record of its evaluation."""
    store = Store(folder).create()
    write_ratings(store.landing / "ratings.csv", ratings)
    outcomes = run_night(store, load_settings([*QUICK, *SCALE, *changes]), "n1")
    tables = {name: pq.read_table(store.table("n1", name)) for name in PUBLISHED}
    return {**tables, "metrics": outcomes["evaluate"]["metrics"]}


@pytest.mark.slow
def test_rows_in_another_order_give_the_same_lists(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    ratings = tasteful_ratings().drop(columns="timestamp")
    first = published(tmp_path / "first", ratings)
    second = published(tmp_path / "second", ratings.sample(frac=1, random_state=1))
    without_recency = published(tmp_path / "third", ratings, "recency=0")
    for name, content in first.items():
        assert content == second[name]
        assert content == without_recency[name]
    n_users = ratings["userId"].nunique()
    assert first["metrics"]["split"] == {
        "kind": "at random",
        "users": n_users,
        "users_divided": n_users,
        "users_unordered": n_users,
        "share_drawn": 1.0,
    }
    said = "The split is at random: no user's ratings have an order"
    assert [r.levelno for r in caplog.records if said in r.message] == [logging.WARNING] * 3
    evaluation(Store(tmp_path / "first"))
    assert f"Warning: {said}" in capsys.readouterr().out


@pytest.mark.slow
def test_test_ratings_are_drawn_alike_on_all_nights(tmp_path: Path) -> None:
    """Hardly a rating without a time is trained on one night and tested on the next."""
    ratings = random_ratings(n_users=200, n_items=100).drop(columns="timestamp")
    store = Store(tmp_path / "store").create()
    is_test: list[pd.Series] = []
    for night, part in (("n1", ratings[: len(ratings) // 2]), ("n2", ratings[len(ratings) // 2 :])):
        write_ratings(store.landing / f"{night}.csv", part)
        run_task("ingest", store, load_settings(SCALE), night)
        run_task("normalize", store, load_settings(SCALE), night)
        of_night, mask = read_split(store, night, load_settings())
        folder = store.table(night, "normalized")
        ids = [
            pq.read_table(folder / f"{side}s.parquet")[f"{side}_id"].to_numpy()
            for side in ("user", "item")
        ]
        pairs = [ids[0][of_night.user_index], ids[1][of_night.item_index]]
        is_test.append(pd.Series(mask, pd.MultiIndex.from_arrays(pairs)))
    before, now = is_test[0], is_test[1].reindex(is_test[0].index)
    assert np.mean(is_test[1]) == pytest.approx(0.2, abs=0.02)
    assert (now & ~before).sum() <= 0.005 * before.sum()
