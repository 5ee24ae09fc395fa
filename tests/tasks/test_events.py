"""A store of events from the first night to a published run, and what its views say."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cofi_jobs import read
from cofi_jobs.cli.show.evaluation import evaluation as show_evaluation
from cofi_jobs.cli.show.explanation import explain
from cofi_jobs.cli.show.run import summary
from cofi_jobs.cli.show.runs import runs
from cofi_jobs.report.overview import overview
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.compaction import compact
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import erase
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night
from tests.support.postgres import execute

pytestmark = pytest.mark.slow

SETTINGS = load_settings(QUICK)
OF_RATINGS = re.compile(r"rmse|\bmae\b|stars?\b|damped|global mean|predicted rating", re.IGNORECASE)
ERASED = 10


def events(seed: int) -> pd.DataFrame:
    frame = random_ratings(seed=seed).drop(columns="rating")
    return frame.assign(plays=1 + frame.index % 7)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two published nights of events, the second one warm."""
    store = Store(tmp_path_factory.mktemp("events")).create()
    for number in (1, 2):
        write_ratings(store.landing / f"{number}.csv", events(number))
        run_night(store, SETTINGS, f"n{number}", report=number == 2)
    return store


def manifest(store: Store) -> dict[str, Any]:
    content = store.manifest("n2")
    assert content is not None
    return content


def test_the_tables_keep_their_columns_without_ratings(store: Store) -> None:
    run = store.table("n2", "")
    lists = pq.read_table(run / "recommendations")
    assert lists.num_rows > 0
    assert lists["predicted_rating"].null_count == lists.num_rows
    assert lists["score"].null_count == 0
    assert lists["because_item_id"].null_count < lists.num_rows
    for side, empty in (
        ("item", ["rating_factors", "mean"]),
        ("user", ["rating_factors", "bias"]),
    ):
        factors = pq.read_table(run / "model" / f"{side}_factors.parquet")
        nulls = {name for name in factors.column_names if factors[name].null_count}
        assert nulls == set(empty)
        assert all(factors[name].null_count == len(factors) for name in empty)


def test_plays_of_both_nights_add_up(store: Store) -> None:
    normalized = store.table("n2", "normalized")
    pairs = pd.read_parquet(normalized / "ratings.parquet")
    users, items = (pd.read_parquet(normalized / f"{side}.parquet") for side in ("users", "items"))
    pairs = pairs.merge(users[["user_index", "user_id"]]).merge(items[["item_index", "item_id"]])
    expected = pd.concat([events(1), events(2)]).groupby(["userId", "movieId"])["plays"].sum()
    sums = pairs.set_index(["user_id", "item_id"])["rating"].sort_index()
    assert sums.astype(int).tolist() == expected.sort_index().tolist()
    assert pairs["y_norm"].isna().all()
    counts = store.required_outcome("n2", "normalize")
    assert counts["n_read"] == counts["n_ratings"] + counts["n_superseded"] == counts["n_rows"]


def test_the_manifest_measures_rankings_alone(store: Store) -> None:
    content = manifest(store)
    schema = json.loads(Path("docs/manifest.schema.json").read_text())
    jsonschema.validate(content, schema)
    assert (content["feedback"], content["scale"]) == ("events", None)
    text = json.dumps([content["metrics"], content["comparisons"], content["gate"]])
    assert "ndcg@10" in text
    assert not OF_RATINGS.search(text.replace("held_out_ratings", ""))
    assert {c["head"] for c in content["comparisons"]} == {"ranking"}
    assert {c["against"] for c in content["comparisons"]} == {"popularity", "item_knn", "published"}
    names = pq.read_schema(store.table("n2", "evaluation") / "users.parquet").names
    assert not [name for name in names if "error" in name]


def test_the_second_night_starts_from_the_first(store: Store) -> None:
    assert store.required_outcome("n2", "train")["started_from"] == "n1"
    losses = pd.read_parquet(store.table("n2", "training") / "losses.parquet")
    assert set(losses["head"]) == {"ranking"}


def test_the_popular_items_are_those_of_most_users(store: Store) -> None:
    pairs = pd.concat([events(1), events(2)]).drop_duplicates(["userId", "movieId"])
    popular = read.current_run(store).popular_items()
    counts = pairs["movieId"].value_counts()
    assert popular["score"].tolist() == counts.head(len(popular)).tolist()


def test_nothing_that_people_see_speaks_of_stars(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    run = read.current_run(store)
    summary(run)
    show_evaluation(store)
    runs(store, TASKS)
    user = str(run.users()["user_id"].iloc[0])
    explain(run, user, str(run.recommendations(user)["item_id"].iloc[0]))
    shown = capsys.readouterr().out
    assert "events" in shown
    assert "count" in shown
    assert not OF_RATINGS.search(shown), OF_RATINGS.search(shown)
    page = (store.table("n2", "report") / "report.html").read_text()
    assert "could not be made" not in page
    sections = page.partition('id="settings"')[0].partition("<body")[2]
    assert "events" in sections
    assert not OF_RATINGS.search(sections), OF_RATINGS.search(sections)
    assert [line.rmse for line in overview(store, TASKS)] == [None, None]


def test_reasons_are_items_that_the_user_had(store: Store) -> None:
    run = read.current_run(store)
    items = run.items()["item_id"]
    for user in run.users()["user_id"].head(5):
        lists = run.recommendations(str(user))
        had = items.iloc[run.rated(str(user))["item_index"].to_numpy()].tolist()
        assert lists["because_item_id"].dropna().isin(had).all()
        assert not lists["item_id"].isin(had).any()


def test_lists_are_delivered_without_predicted_ratings(
    store: Store, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COFI_DATABASE", database)
    n_rows = run_task("deliver", store, SETTINGS, "n2")["rows"]
    counts = "SELECT count(*), count(score), count(predicted_rating) FROM cofi.recommendations"
    [(n, n_scores, n_predicted)] = execute(database, counts)
    assert 0 < n == n_scores <= n_rows
    assert n_predicted == 0


def test_compaction_and_erasure(store: Store, tmp_path: Path) -> None:
    store = Store(Path(shutil.copytree(store.root, tmp_path / "copy", symlinks=True)))
    before = pd.read_parquet(store.table("n2", "normalized") / "ratings.parquet")
    assert compact(store, load_settings(["max_batches=2"])) == []
    write_ratings(store.landing / "3.csv", events(2).assign(op="delete").tail(3))
    run_night(store, load_settings([*QUICK, "max_batches=2"]), "n3")
    assert store.records.compacted()["batches"]
    night4 = run_night(store, SETTINGS, "n4")["normalize"]
    after = pd.read_parquet(store.table("n4", "normalized") / "ratings.parquet")
    assert 0 < len(before) - len(after) <= 3
    assert night4["n_read"] == (
        night4["n_ratings"] + night4["n_superseded"] + night4["n_withdrawn"]
    )
    erase.erase(store, SETTINGS, [str(ERASED)])
    night5 = run_night(store, SETTINGS, "n5")["normalize"]
    assert night5["n_users"] == night4["n_users"] - 1
    assert ERASED not in read.current_run(store).users()["user_id"].tolist()
    sums = pd.read_parquet(store.table("n5", "normalized") / "ratings.parquet")["rating"]
    assert np.isclose(sums.sum(), after["rating"].sum(), rtol=0.2)
