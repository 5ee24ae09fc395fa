"""Trust in a store: new accounts and only ratings weigh less in what others see."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.run_tables import (
    count_ratings_from,
    read_evidence,
    read_ratings,
    read_trust,
)
from cofi_jobs.tasks.runner import run_task
from tests.support.current import as_it_is, in_ranges_of_users, way_of
from tests.support.data import random_ratings, write_ratings

YEAR = 365 * 86_400
LESS = ["new_account_weight=0.25", "new_account_days=30", "damping=3"]


def ratings_of_a_year() -> pd.DataFrame:
    """Ratings over a year; users from 1000 on came yesterday, user 2000 has one old rating."""
    rng = np.random.default_rng(1)
    old = random_ratings(n_users=30, n_items=25)
    old["timestamp"] = 1_500_000_000 + rng.integers(0, YEAR // 2, len(old))
    old.loc[0, "timestamp"] = 1_500_000_000 + YEAR
    new = pd.DataFrame(
        [(1000 + n // 2, [7, 9][n % 2], 5.0, 1_500_000_000 + YEAR - 86_400) for n in range(12)],
        columns=old.columns,
    )
    one = pd.DataFrame([(2000, 9, 4.0, 1_500_000_100)], columns=old.columns)
    return pd.concat([old, new, one])


def weighted(store, ratings: pd.DataFrame, *overrides: str) -> pd.DataFrame:
    """The ratings with the weight of each, after a normalization with these settings."""
    write_ratings(store.landing / "ratings.csv", ratings)
    settings = load_settings(["id_type=integer", *overrides])
    for task in ("ingest", "normalize"):
        run_task(task, store, settings, "n1")
    n_ratings = ratings.groupby("userId")["rating"].transform("size")
    return ratings.assign(weight=np.where((ratings.userId >= 1000) | (n_ratings == 1), 0.25, 1))


@pytest.mark.parametrize("way", [as_it_is, in_ranges_of_users])
def test_trust_counts_and_means_of_a_normalized_run(store, way):
    with way_of(way):
        rows = weighted(store, ratings_of_a_year(), *LESS)
    folder = store.table("n1", "normalized")
    users, items = (pd.read_parquet(folder / f"{side}.parquet") for side in ("users", "items"))
    assert users.set_index("user_id")["trust"].to_dict() == dict(
        rows.groupby("userId")["weight"].first()
    )
    mean = np.average(rows["rating"], weights=rows["weight"])
    rows["sum"] = rows["weight"] * rows["rating"]
    sums = rows.groupby("movieId")[["weight", "sum"]].sum()
    assert items["n_trusted"].to_numpy() == pytest.approx(sums["weight"].to_numpy())
    means = (sums["sum"] + 3 * mean) / (sums["weight"] + 3)
    assert items["mean"].to_numpy() == pytest.approx(means.to_numpy(), rel=1e-5)
    plain = rows.groupby("movieId")["rating"].agg(["mean", "size"])
    assert items["mean_rating"].to_numpy() == pytest.approx(plain["mean"].to_numpy())
    assert items["n_ratings"].tolist() == plain["size"].tolist()
    assert read_evidence(folder) == pytest.approx(items["n_trusted"].to_numpy())
    liked = rows[rows["rating"] >= 4].groupby("movieId")["weight"].sum()
    likes = count_ratings_from(folder, 4, len(items))
    assert dict(zip(items["item_id"], likes, strict=True)) == pytest.approx(
        {item: liked.get(item, 0) for item in items["item_id"]}
    )
    trust = read_ratings(folder).trust
    assert trust is not None
    assert trust.tolist() == users["trust"].tolist()


def test_without_the_setting_all_are_trusted_alike(store):
    rows = weighted(store, ratings_of_a_year())
    folder = store.table("n1", "normalized")
    assert read_trust(folder) is None
    assert read_ratings(folder).trust is None
    assert read_evidence(folder).sum() == len(rows)


def test_events_without_times_are_weighted_by_number_alone(store):
    events = ratings_of_a_year().drop(columns=["timestamp", "rating"])
    write_ratings(store.landing / "events.csv", events)
    for task in ("ingest", "normalize"):
        run_task(task, store, load_settings(["id_type=integer", *LESS]), "n1")
    folder = store.table("n1", "normalized")
    users = pd.read_parquet(folder / "users.parquet").set_index("user_id")
    assert users.index[users["trust"] < 1].tolist() == [2000]
    assert pq.read_table(folder / "items.parquet")["mean"].null_count == events["movieId"].nunique()


def test_a_run_of_an_older_version_is_read_without_trust(store):
    rows = weighted(store, ratings_of_a_year(), *LESS)
    folder = store.table("n1", "normalized")
    for side, column in (("users", "trust"), ("items", "n_trusted")):
        table = pq.read_table(folder / f"{side}.parquet").drop_columns(column)
        pq.write_table(table, folder / f"{side}.parquet")
    assert read_ratings(folder).trust is None
    assert read_evidence(folder).sum() == len(rows)
