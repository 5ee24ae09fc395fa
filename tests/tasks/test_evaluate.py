"""Evaluation of whole runs: what the gate refuses, what is compared with, and what is written."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cofi_jobs.cli.show.evaluation import evaluation
from cofi_jobs.core.errors import QualityError
from cofi_jobs.evaluation import overlap
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.run_keys import run_key_at
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import run_split
from cofi_jobs.tasks.evaluate import last_published
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, tasteful_ratings, write_ratings
from tests.support.nights import run_night

GOOD = [
    "n_factors=4",
    "ratings_per_step=0",
    "rating_learning_rate=0.15",
    "rating_steps=100",  # as far as it goes, so that a run that goes on from it is as good
    "top_n=5",
    "similar_n=4",
]
BAD = [
    *QUICK,
    "force_publish=false",
    "rating_steps=1",
    "ranking_steps=1",
    "rating_lambda=1000",
    "ranking_lambda=1000",
]


@pytest.fixture(scope="module")
def good_run(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("good") / "store").create()
    write_ratings(store.landing / "ratings.csv", tasteful_ratings())
    run_night(store, load_settings(GOOD), "night-1")
    return store


@pytest.fixture
def after_good(good_run: Store, tmp_path: Path) -> Store:
    return Store(shutil.copytree(good_run.root, tmp_path / "store", symlinks=True))


def test_a_good_run_passes_and_its_manifest_says_by_how_much(good_run: Store):
    manifest = good_run.manifest("night-1")
    assert manifest is not None
    assert manifest["gate"]["passed"] is True
    assert manifest["gate"]["forced"] is False
    by_name = {(c["measure"], c["against"]): c for c in manifest["comparisons"]}
    comparison = by_name["ndcg@10", "popularity"]
    assert 0 < comparison["low"] < comparison["difference"] < comparison["high"]
    assert comparison["own"] == manifest["metrics"]["ranking"]["ndcg@10"]
    assert by_name["rmse", "damped_means"]["high"] < 0
    assert not any(against == "published" for _, against in by_name), (
        "the first run has nothing to compare with"
    )


def test_each_mean_can_be_computed_again_from_the_users_table(good_run: Store):
    users = pd.read_parquet(good_run.table("night-1", "evaluation"))
    metrics = good_run.required_outcome("night-1", "evaluate")["metrics"]
    rmse = np.sqrt(users["rating_squared_error"].sum() / users["n_held_out"].sum())
    assert rmse == pytest.approx(metrics["rating"]["rmse"])
    for model in ("ranking", "popularity", "item_knn"):
        assert users[f"{model}_ndcg"].mean() == pytest.approx(metrics[model]["ndcg@10"], rel=1e-5)
        hit_rate = users[f"{model}_similar_hit_rate"].mean()
        assert hit_rate == pytest.approx(metrics[model]["similar_hit_rate@20"], rel=1e-5)
    few, some, many = metrics["by_activity"]
    group = users[users["n_known"].between(few["from"], few["to"])]
    assert few["users"] == len(group)
    assert few["ranking"]["ndcg@10"] == pytest.approx(group["ranking_ndcg"].mean(), rel=1e-5)
    assert few["to"] < some["from"] <= some["to"] < many["from"]
    assert sum(group["n_items"] for group in metrics["by_popularity"]) == 80
    assert sum(group["ranking"]["shown"] for group in metrics["by_popularity"]) == pytest.approx(1)


def test_a_bad_run_is_refused_until_it_is_forced(after_good: Store):
    bad = load_settings(BAD)
    with pytest.raises(
        QualityError,
        match=r"ndcg@10 of the ranking model is 0\.\d+, expected at least .* \(published",
    ):
        run_night(after_good, bad, "night-2")
    assert after_good.current() == "night-1"
    failure = after_good.failure("night-2", "evaluate")
    assert failure is not None
    assert failure["permanent"] is True
    assert failure["metrics"]["published"] == {"run_key": "night-1", "users": 150}
    refusals = failure["gate"]["refusals"]
    against_published = [refusal for refusal in refusals if "published" in refusal]
    measures = [refusal.partition(" of the ")[0] for refusal in against_published]
    assert measures == ["ndcg@10", "similar_hit_rate@20", "rmse"], (
        "each model is worse than the last run's, and so are the similar items"
    )

    forced = load_settings([*BAD, "force_publish=true"])
    run_task("evaluate", after_good, forced, "night-2")
    run_task("publish", after_good, bad, "night-2")
    assert after_good.current() == "night-2"
    manifest = after_good.manifest("night-2")
    assert manifest is not None
    assert manifest["gate"] == {**failure["gate"], "forced": True}
    assert manifest["settings"]["force_publish"] is True


@pytest.mark.slow
def test_a_run_in_which_nothing_counts_as_liked_is_not_published(store: Store):
    write_ratings(store.landing / "ratings.csv", tasteful_ratings())
    with pytest.raises(QualityError, match=r"0\.000% of the ratings count as liked"):
        run_night(store, load_settings([*QUICK, "force_publish=false", "liked_from=6"]), "night-1")
    assert store.current() is None


def test_a_few_users_are_no_evidence_and_the_run_says_so(
    store: Store, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
):
    """The model is bad, but two users cannot tell."""
    settings = load_settings([*BAD, "evaluate_users=2", "min_coverage=0", "min_rows=0"])
    write_ratings(store.landing / "ratings.csv", tasteful_ratings().query("userId < 3"))
    run_night(store, settings, "n")
    manifest = store.manifest("n")
    assert manifest is not None
    expected = [
        "too few users to judge ndcg@10 of the ranking model against popularity: "
        "2 were measured, expected at least 20",
        "too few users to judge rmse of the rating model against damped_means: "
        "3 were measured, expected at least 20",
    ]
    assert manifest["gate"]["passed"]
    assert manifest["gate"]["not_judged"] == expected
    assert manifest["metrics"]["intervals"]["rating"]["rmse"] == [None, None]
    evaluation(store)
    shown = capsys.readouterr().out
    assert all(sentence in caplog.text and sentence in shown for sentence in expected)


def test_the_same_model_again_is_no_worse_than_itself(after_good: Store):
    run_night(after_good, load_settings([*GOOD, "warm_start=false"]), "night-2")
    manifest = after_good.manifest("night-2")
    assert manifest is not None
    with_published = [c for c in manifest["comparisons"] if c["against"] == "published"]
    assert {c["head"] for c in with_published} == {"rating", "ranking"}
    assert all(c["difference"] == pytest.approx(0, abs=1e-6) for c in with_published)


def test_a_refused_run_is_shown_with_the_depths_that_it_was_measured_at(
    store: Store, capsys: pytest.CaptureFixture[str]
):
    write_ratings(store.landing / "ratings.csv", tasteful_ratings())
    with pytest.raises(QualityError):
        run_night(store, load_settings([*BAD, "ndcg_at=7", "recall_at=13", "min_coverage=1"]), "n")
    evaluation(store)
    shown = capsys.readouterr().out
    assert "CoFi run n" in shown
    assert "refused: " in shown
    assert set(re.findall(r"(?:ndcg|recall)@\d+", shown)) == {"ndcg@7", "recall@13"}


def test_users_of_whom_the_published_model_saw_a_test_rating_are_not_compared(
    after_good: Store, monkeypatch
):
    """User 0 rates a train item again: the rating is the newest, so a test rating now."""
    monkeypatch.setattr(overlap, "MARKS", 1000)
    old = tasteful_ratings().sort_values("timestamp")
    again = old[old["userId"] == 0].head(3).assign(timestamp=17 * 10**8)
    new = pd.DataFrame(
        {"userId": [1000, 1000], "movieId": [0, 2], "rating": [5, 4], "timestamp": [17 * 10**8] * 2}
    )
    write_ratings(after_good.landing / "more.csv", pd.concat([again, new]))
    run_night(after_good, load_settings(QUICK), "night-2")
    manifest = after_good.manifest("night-2")
    assert manifest is not None
    assert manifest["metrics"]["published"] == {"run_key": "night-1", "users": 149}


def test_measures_do_not_depend_on_how_many_users_are_read_at_once(
    after_good: Store, monkeypatch: pytest.MonkeyPatch
):
    """Also beside a published run whose users and items have other row numbers."""
    new = tasteful_ratings().head(40).assign(timestamp=17 * 10**8)
    new["userId"], new["movieId"] = new["userId"] - 1, new["movieId"] - 1
    write_ratings(after_good.landing / "more.csv", new)
    settings = load_settings([*QUICK, "evaluate_users=100"])
    for task in ("ingest", "normalize", "train", "similar_items", "recommend"):
        run_task(task, after_good, settings, "night-2")
    tables, records = [], []
    for ratings_at_once in (1 << 20, 300, 1):
        monkeypatch.setattr(run_split, "RATINGS_AT_ONCE", ratings_at_once)
        run_task("evaluate", after_good, settings, "night-2")
        tables.append(pd.read_parquet(after_good.table("night-2", "evaluation")))
        records.append(after_good.required_outcome("night-2", "evaluate")["metrics"])
    assert records[0]["published"]["users"] > 100
    for table, record in zip(tables[1:], records[1:], strict=True):
        pd.testing.assert_frame_equal(table, tables[0], rtol=1e-9)
        assert numbers_in(record) == pytest.approx(numbers_in(records[0]), rel=1e-9)


def numbers_in(record: Any) -> list[float]:
    if isinstance(record, dict | list):
        parts = record.values() if isinstance(record, dict) else record
        return [number for part in parts for number in numbers_in(part)]
    return [record] if isinstance(record, int | float) else []


def test_runs_without_a_holdout_model_are_not_compared_with(after_good: Store):
    """As those published before there was an evaluation."""
    shutil.rmtree(after_good.table("night-1", "trial"))
    run_night(after_good, load_settings(QUICK), "night-2")
    manifest = after_good.manifest("night-2")
    assert manifest is not None
    assert "published" not in manifest["metrics"]


def test_what_readers_use_is_compared_with_also_after_a_rollback(after_good: Store):
    run_night(after_good, load_settings([*QUICK, "seed=1"]), "night-2")
    assert last_published(after_good, "night-3") == "night-2"
    after_good.set_current("night-1")
    assert last_published(after_good, "night-3") == "night-1"
    after_good.set_current("night-2")
    assert last_published(after_good, "night-2") == "night-1"
    assert last_published(after_good, "night-1") is None
    assert last_published(after_good, "night-0") == "night-2", "a run that has not begun is newest"


@pytest.mark.slow
def test_input_that_explodes_stays_refused_until_somebody_decides(after_good: Store):
    ratings = tasteful_ratings(seed=1)
    settings = load_settings([*QUICK, "force_publish=false"])
    for number in range(5):
        write_ratings(
            after_good.landing / f"{number}.csv", ratings.iloc[10 * number : 10 * number + 10]
        )
        run_task("ingest", after_good, settings, f"night-2{number}")
    run_night(after_good, load_settings(QUICK), "night-24")
    write_ratings(after_good.landing / "flood.csv", ratings.iloc[100:1100])
    with pytest.raises(
        QualityError,
        match=r"1,000 new ratings are 100 times the 10 of a usual run, expected at most",
    ):
        run_night(after_good, settings, "night-3")
    with pytest.raises(QualityError, match="1,000 new ratings are 100 times"):
        run_night(
            after_good, settings, "night-4"
        )  # nothing new, but the flood is among its ratings
    assert after_good.current() == "night-24"


def test_the_last_days_are_tested_on(store: Store):
    ratings = tasteful_ratings()
    ratings["timestamp"] = 10**9 + (ratings["timestamp"] - 10**9) * 60
    newcomer = pd.DataFrame(
        {"userId": 999, "movieId": [0, 2], "rating": 5, "timestamp": ratings["timestamp"].max()}
    )
    ratings = pd.concat([ratings, newcomer])
    write_ratings(store.landing / "ratings.csv", ratings)
    outcomes = run_night(store, load_settings([*QUICK, "test_days=0.5"]), "n")
    newest = ratings["timestamp"] > ratings["timestamp"].max() - 43_200
    assert (
        outcomes["evaluate"]["metrics"]["held_out_ratings"]
        == outcomes["train"]["n_held_out"]
        == newest.sum()
    )
    assert outcomes["train"]["n_known"] == (~newest).sum()
    users = pd.read_parquet(store.table("n", "evaluation")).set_index("user_id")
    assert users.loc[999, ["n_known", "n_held_out", "n_wanted"]].tolist() == [0, 2, 2]
    assert np.isnan(users.loc[999, "ranking_ndcg"]), "no list of its own"


def test_keys_of_airflows_runs_tell_the_time():
    from datetime import UTC, datetime

    from cofi_jobs.store.run_keys import run_time

    time = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
    assert run_time(run_key_at(time)) == time
    assert run_time("night-1") is None
