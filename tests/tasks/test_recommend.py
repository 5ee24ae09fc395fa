"""Lists of a whole run: what may be shown, and settings that leave nothing."""

import logging

import numpy as np
import pandas as pd
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.reader import current_run
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night


@pytest.mark.slow
def test_excluded_items_are_never_shown_and_every_list_is_full(store):
    ratings = random_ratings(n_items=40)
    write_ratings(store.landing / "ratings.csv", ratings)
    items = sorted(ratings["movieId"].unique())
    catalogue = pd.DataFrame(
        {"movieId": items, "title": "", "genres": [["A|B", "B", "C|A"][i % 3] for i in range(40)]}
    )
    catalogue.to_csv(store.catalogue / "movies.csv", index=False)
    (store.item_lists / "deny.txt").write_text("\n".join(map(str, items[:5])))
    counts = ratings["movieId"].value_counts()
    least = int(counts.loc[items[5:]].quantile(0.2)) + 1
    few = set(counts[counts < least].index)
    excluded = few | set(items[:5])
    assert len(few - set(items[:5])) > 2
    limited = [f"min_item_ratings={least}", "max_per_group=2", "diversity=0.3", "similar_n=34"]
    ended = run_night(store, load_settings([*QUICK, *limited]), "n1")
    group = dict(zip(items, (genres[0] for genres in catalogue["genres"]), strict=True))
    shown = pd.read_parquet(store.table("n1", "recommendations"))
    assert not excluded & set(shown["item_id"])
    rated = ratings.groupby("userId")["movieId"].agg(set)
    for user, rows in shown.groupby("user_id"):
        eligible = [item for item in items if item not in excluded and item not in rated[user]]
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert not rated[user] & set(rows["item_id"])
        per_group = pd.Series([group[item] for item in eligible]).value_counts()
        assert len(rows) == min(5, np.minimum(per_group, 2).sum())
        assert rows["item_id"].map(group).value_counts().max() <= 2
    popular = current_run(store).popular_items()["item_id"].to_pylist()
    assert set(popular) == set(items) - excluded
    similar = pd.read_parquet(store.table("n1", "similar_items"))
    assert set(similar["item_id"]) == set(items)  # an excluded item still has similar items
    assert set(similar["similar_item_id"]) == set(
        items[5:]
    )  # min_item_ratings does not exclude from these
    assert similar.groupby("item_id").size().loc[[items[0], items[9]]].tolist() == [34, 34]
    assert ended["similar_items"]["rows"] == len(similar)
    assert current_run(store).manifest["counts"]["recommend"]["barred_items"] == len(excluded)


@pytest.mark.slow
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
