"""What the first run of a store finds out, and who uses it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import first_settings
from cofi_jobs.tasks.first_settings import why_not
from cofi_jobs.tasks.runner import run_task
from cofi_jobs.tuning.comparison import Change
from tests.support.data import write_ratings

SEARCH = ["first_tuning_minutes=0.01", "use_tuned=true", "test_share=0.3"]


def two_tastes(n_users: int) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    user, item = np.nonzero(rng.random((n_users, 40)) < 0.4)
    liked = (user % 2) == (item % 2)
    rating = np.where(liked, rng.integers(4, 6, len(user)), rng.integers(1, 3, len(user)))
    return pd.DataFrame(
        {"userId": user, "movieId": item, "rating": rating, "timestamp": 1_000_000_000 + item}
    )


def trained(store: Store, run_key: str, settings: list[str]) -> dict:
    for task in ("ingest", "normalize"):
        run_task(task, store, load_settings(), run_key)
    return run_task("train", store, load_settings(settings), run_key)


@pytest.mark.slow
def test_the_first_run_finds_settings_and_later_runs_use_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_settings, "LEAST_SECONDS", 2.0)
    write_ratings(store.landing / "ratings.csv", two_tastes(120))
    outcome = trained(store, "n1", [*SEARCH, "n_factors=8"])
    record = store.records.tuned()
    assert record is not None
    assert record["run_key"] == "n1"
    assert set(record["tried"]) == {"ranking", "rating"}
    assert all(trial["value"] for trials in record["tried"].values() for trial in trials)
    assert outcome["first_search"]["settings"] == record["settings"]
    assert "n_factors" not in record["settings"], "it was set explicitly"
    used = outcome["settings"]
    assert {name: used[name] for name in record["settings"]} == record["settings"]
    for change in record["measures"].values():
        assert not change["worse"] or not record["settings"]

    write_ratings(store.landing / "more.csv", two_tastes(121))
    again = trained(store, "n2", SEARCH)
    assert store.records.tuned() == record, "only the first run searches"
    assert again["first_search"] is None
    assert {name: again["settings"][name] for name in record["settings"]} == record["settings"]


@pytest.mark.slow
def test_few_users_say_nothing_about_settings(store: Store) -> None:
    write_ratings(store.landing / "ratings.csv", two_tastes(20))
    outcome = trained(store, "n1", [*SEARCH, "ranking_steps=2", "rating_steps=2"])
    assert store.records.tuned() is None
    assert outcome["first_search"] is None


@pytest.mark.slow
def test_a_search_can_be_turned_off(store: Store) -> None:
    write_ratings(store.landing / "ratings.csv", two_tastes(120))
    trained(store, "n1", ["first_tuning_minutes=0", "ranking_steps=2", "rating_steps=2"])
    assert store.records.tuned() is None


HIGHER = Change(0.2, 0.21, 0.01, None, None, "higher", worse=False)
LOWER = Change(0.8, 0.78, -0.02, None, None, "lower", worse=False)


def test_a_gain_is_a_share_of_what_was_there() -> None:
    nothing = Change(0.0, 0.1, 0.1, None, None, "higher", worse=False)
    assert [c.gain for c in (HIGHER, LOWER, nothing)] == pytest.approx([0.05, 0.025, 0.0])


@pytest.mark.parametrize(
    ("changes", "objection"),
    [
        ({"ndcg@10": HIGHER}, None),
        ({"rmse": LOWER}, None),
        ({"ndcg@10": replace(HIGHER, difference=0.001), "rmse": LOWER}, None),
        ({"ndcg@10": replace(HIGHER, difference=0.001)}, "gain too little"),
        ({}, "gain too little"),
        (
            {"ndcg@10": HIGHER, "rmse": replace(LOWER, difference=0.001, worse=True)},
            "rmse is worse",
        ),
    ],
)
def test_settings_are_used_if_none_is_worse_and_one_clearly_better(
    changes: dict[str, Change], objection: str | None
) -> None:
    # A measure that nobody searched for decides nothing.
    why = why_not({**changes, "recall@20": HIGHER}, {"ndcg@10": 0.01, "rmse": 0.002})
    assert (objection in why) if objection and why else why is objection


@pytest.mark.parametrize(
    ("n_ratings", "seconds"),
    [
        (1, 30),
        (100_000, 30),
        (500_000, 150),
        (1_000_000, 300),
        (20_000_000, 300),
        (100_000_000, 60),
        (10**10, 30),
    ],
)
def test_the_time_of_a_search_follows_from_the_ratings(n_ratings: int, seconds: float) -> None:
    assert first_settings.search_seconds(5, n_ratings) == seconds


@pytest.mark.slow
def test_a_search_sees_a_sample_of_many_ratings(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ratings(store.landing / "ratings.csv", two_tastes(200))
    for task in ("ingest", "normalize"):
        run_task(task, store, load_settings(), "n1")
    n_ratings = store.required_outcome("n1", "normalize")["n_ratings"]
    monkeypatch.setattr(first_settings, "MOST_RATINGS", n_ratings // 2)
    parts = first_settings.measurable_parts(store, load_settings(), "n1")
    assert parts is not None
    assert parts[1].train.n_users == 100
