"""Warm start: rows are found by id, what is held out does not show, and a third of the steps is enough."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.factors import (
    Factors,
    StoredModel,
    initial_factors,
    predict,
    row_numbers,
)
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.fit import fit_both
from cofi_jobs.model.item_means import item_means
from cofi_jobs.model.warm_start import Start, carry_over
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.renames import RENAMED
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.run_tables import read_model
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout import holdout_start, read_split
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night

# ---- rows by id


def test_rows_are_carried_over_by_id():
    fresh, earlier = initial_factors(4, 3, 2, seed=1), initial_factors(3, 2, 2, seed=2)
    earlier = Factors(earlier.X, earlier.W, np.array([7, 8], np.float32))
    items = row_numbers(pa.array([5, 10, 15, 20]), pa.array([10, 12, 20]))
    users = row_numbers(pa.array(["a", "b", "c"]), pa.array(["b", "z"]))
    assert items.tolist() == [-1, 0, -1, 2]
    assert users.tolist() == [-1, 0, -1]
    found = carry_over(fresh, earlier, users, items)
    np.testing.assert_array_equal(found.X, [fresh.X[0], earlier.X[0], fresh.X[2], earlier.X[2]])
    np.testing.assert_array_equal(found.W, [fresh.W[0], earlier.W[0], fresh.W[2]])
    np.testing.assert_array_equal(found.b, [0, 7, 0])
    assert not np.shares_memory(found.X, fresh.X)


# ---- between two nights

SETTINGS = load_settings([*QUICK, "rating_low=1", "rating_high=5"])


def two_nights() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The ratings of two nights: the second brings newer ratings of old and of new users and items."""
    frame = random_ratings(n_users=40, n_items=30)
    later = (frame["userId"] > 115) | (frame["movieId"] > 280)
    first = frame[~later].iloc[: int(0.9 * (~later).sum())]
    return first, frame.drop(first.index).assign(timestamp=lambda rows: rows["timestamp"] + 10**6)


FIRST, SECOND = two_nights()


def held_out(frame: pd.DataFrame) -> np.ndarray:
    """Mask of each user's newest fifth."""
    order = frame.sort_values(["userId", "timestamp"])
    n, place = (
        order.groupby("userId")["movieId"].transform("size"),
        order.groupby("userId").cumcount(),
    )
    return (place >= n - np.clip(np.floor(n * 0.2), 1, n - 1)).reindex(frame.index).to_numpy()


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store after the first night; not to be changed."""
    store = Store(tmp_path_factory.mktemp("first") / "store").create()
    write_ratings(store.landing / "first.csv", FIRST)
    run_night(store, SETTINGS, "n1")
    return store


@pytest.fixture
def night(first_night: Store, tmp_path: Path) -> Store:
    """A copy of that store."""
    return Store(shutil.copytree(first_night.root, tmp_path / "night", symlinks=True))


def start_of(
    store: Store, frame: pd.DataFrame, *changes: str
) -> tuple[str | None, Start | None, StoredModel]:
    """What `train` of a second night would start from, and the trial model of the first."""
    settings = load_settings([*QUICK, "rating_low=1", "rating_high=5", *changes])
    write_ratings(store.landing / "second.csv", frame)
    for task in ("ingest", "normalize"):
        run_task(task, store, settings, "n2")
    return *_start(store, settings), read_model(store.table("n1", "trial"))


def _start(store: Store, settings: Settings) -> tuple[str | None, Start | None]:
    ratings, hidden = read_split(store, "n2", settings)
    user_id, item_id = ids(store)
    return holdout_start(store, settings, "n2", user_id, item_id, ratings.where(hidden))


def ids(store: Store) -> list[pa.Array]:
    folder = store.table("n2", "normalized")
    return [
        pq.read_table(folder / f"{side}s.parquet")[f"{side}_id"].combine_chunks()
        for side in ("user", "item")
    ]


def test_the_second_night_goes_on_from_the_trial_model_of_the_first(night: Store):
    last, start, earlier = start_of(night, SECOND)
    assert last == "n1"
    assert start is not None
    users, items = (
        row_numbers(*pair)
        for pair in zip(ids(night), (earlier.user_id, earlier.item_id), strict=True)
    )
    assert 0 < (users < 0).sum() < len(users)
    assert 0 < (items < 0).sum() < len(items)
    for mine, theirs in ((start.rating, earlier.rating), (start.ranking, earlier.ranking)):
        np.testing.assert_array_equal(mine.X[items >= 0], theirs.X[items[items >= 0]])
        np.testing.assert_array_equal(mine.W[users >= 0], theirs.W[users[users >= 0]])
        np.testing.assert_array_equal(mine.b[users >= 0], theirs.b[users[users >= 0]])
        assert np.abs(mine.X[items < 0]).min() > 0


def test_it_takes_a_third_of_the_steps_and_repeats_to_the_bit(night: Store):
    start_of(night, SECOND)
    first = run_task("train", night, SETTINGS, "n2")
    assert first["started_from"] == "n1"
    losses = pq.read_table(night.table("n2", "training") / "losses.parquet").to_pandas()
    assert losses.groupby(["fit", "head"])["step"].max().tolist() == [1] * 4
    before = read_model(night.table("n2", "trial"))
    # A run published later, though newer, is not where this one starts.
    for folder in ("runs", "tasks"):
        shutil.copytree(night.root / folder / "n1", night.root / folder / "n3")
    night.records.write_manifest("n3", night.manifest("n1") or {})
    night.set_current("n3")
    assert run_task("train", night, SETTINGS, "n2")["started_from"] == "n1"
    after = read_model(night.table("n2", "trial"))
    for name in ("X", "W", "b"):
        np.testing.assert_array_equal(getattr(before.ranking, name), getattr(after.ranking, name))
        np.testing.assert_array_equal(getattr(before.rating, name), getattr(after.rating, name))


def test_nothing_of_what_is_held_out_is_in_the_start(night: Store, tmp_path: Path):
    """Two histories that differ only in what is held out on the second night give the same start, bit for bit."""
    everything = pd.concat([FIRST, SECOND], ignore_index=True)
    hidden = held_out(everything)
    assert hidden[: len(FIRST)].any()  # some of it was there on the first night
    turned = everything.assign(rating=everything["rating"].where(~hidden, 6 - everything["rating"]))
    other = Store(tmp_path / "other").create()
    write_ratings(other.landing / "first.csv", turned[: len(FIRST)])
    run_night(other, SETTINGS, "n1")
    starts = [
        start_of(night, everything[len(FIRST) :])[1],
        start_of(other, turned[len(FIRST) :])[1],
    ]
    for head in ("rating", "ranking"):
        for name in ("X", "W", "b"):
            np.testing.assert_array_equal(
                *(getattr(getattr(start, head), name) for start in starts)
            )
    published = [
        pd.read_parquet(store.table("n1", "model") / "item_factors.parquet")
        for store in (night, other)
    ]
    assert not published[0].equals(published[1])


def test_what_the_earlier_trial_knew_of_a_rating_held_out_now_is_forgotten(night: Store):
    changed = (
        FIRST[~held_out(FIRST)].groupby("userId").head(1).iloc[3]
    )  # known on the first night, newest on the second
    again = pd.DataFrame([changed]).assign(rating=6 - changed["rating"], timestamp=2 * 10**9)
    _, start, earlier = start_of(night, pd.concat([SECOND, again]))
    assert start is not None
    users, items = ids(night)
    for mine, theirs, rows, old, key in (
        (start.ranking.W, earlier.ranking.W, users, earlier.user_id, "userId"),
        (start.ranking.X, earlier.ranking.X, items, earlier.item_id, "movieId"),
    ):
        number = row_numbers(rows, old)
        differ = (mine != theirs[number]).any(axis=1) & (number >= 0)
        assert rows.filter(pa.array(differ)).to_pylist() == [changed[key]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("warm_start=false", ""),
        ("n_factors=5", "n_factors is 5, there it was 4"),
        ("test_share=0.3", "test_share is 0.3, there it was 0.2"),
        ("ranking_alpha=3", "ranking_alpha is 3.0, there it was 25.0"),
        ("damping=1", "damping is 1.0, there it was 5.0"),
        ("", "it kept no holdout model"),
    ],
)
def test_no_warm_start_from_another_cost_or_split(night: Store, change: str, reason: str, caplog):
    if not change:
        shutil.copytree(night.table("n1", "trial"), night.table("n1", "kept"))
        (night.table("n1", "trial") / "user_factors.parquet").rename(
            night.table("n1", "kept") / "moved.parquet"
        )
    with caplog.at_level(logging.INFO):
        write_ratings(night.landing / "second.csv", SECOND)
        settings = load_settings([*QUICK, "rating_low=1", "rating_high=5", *filter(None, [change])])
        for task in ("ingest", "normalize"):
            run_task(task, night, settings, "n2")
        assert _start(night, settings) == (None, None)
    assert (
        f"no warm start from run n1: {reason}" in caplog.text
        if reason
        else "warm start" not in caplog.text
    )


def test_a_run_whose_records_have_old_names_of_settings_is_gone_on_from(night: Store):
    """Runs published before settings were renamed: warm start goes on as if they had the new names."""
    write_ratings(night.landing / "second.csv", SECOND)
    for task in ("ingest", "normalize"):
        run_task(task, night, SETTINGS, "n2")
    _, expected = _start(night, SETTINGS)
    manifest, trained = night.manifest("n1"), night.required_outcome("n1", "train")
    assert manifest is not None
    night.records.write_manifest("n1", manifest | {"settings": old_names(manifest["settings"])})
    night.records.write_outcome(
        "n1", "train", trained | {"settings": old_names(trained["settings"])}
    )
    key, start = _start(night, SETTINGS)
    assert key == "n1"
    assert start is not None
    assert expected is not None
    np.testing.assert_array_equal(start.ranking.W, expected.ranking.W)


def old_names(settings: dict[str, Any]) -> dict[str, Any]:
    """A record of settings as it was written before some were renamed."""
    old = {new: old for old, new in RENAMED.items()}
    return {old.get(name, name): settings[name] for name in settings if name not in RENAMED}


# ---- what it is worth


def test_a_third_of_the_steps_from_last_nights_factors_is_as_good_as_all_from_the_start():
    """A planted matrix of rank 4; the first night lacks a tenth of the known entries, and some users and items."""
    n_users, n_items, rng = 120, 90, np.random.default_rng(1)
    truth = rng.standard_normal((n_users, 4)) @ rng.standard_normal((4, n_items))
    stars = np.clip(3 + 0.6 * truth, 1, 5).astype(np.float32)
    chance = rng.random(truth.shape)
    hidden, seen = chance > 0.9, chance < 0.45
    early = seen & (chance < 0.4)
    early[-8:], early[:, -6:] = False, False
    settings = load_settings(
        [
            "n_factors=6",
            "ratings_per_step=256",
            "rating_steps=150",
            "ranking_steps=150",
            "rating_learning_rate=0.3",
            "rating_lambda=0.1",
            "recency=0",
        ]
    )

    def night(
        mask: np.ndarray, start: Start | None = None, third: bool = False
    ) -> tuple[Start, float, float]:
        user, item = (index.astype(np.int32) for index in np.nonzero(mask))
        ratings = Ratings(user, item, stars[mask], n_users, n_items)
        means = item_means(ratings, 1.0)
        chosen = settings.model_copy(
            update={"rating_steps": 50, "ranking_steps": 50} if third else {}
        )
        model = fit_both(ratings, means, chosen, Scale(1, 5), start)
        at_user, at_item = np.nonzero(hidden)
        error = predict(model.rating.factors, at_user, at_item) + means[at_item] - stars[hidden]
        scores = model.ranking.factors.W @ model.ranking.factors.X.T
        with np.errstate(invalid="ignore"):  # who has rated nothing has no order
            rank = np.mean(
                [
                    np.corrcoef(scores[row][hidden[row]], truth[row][hidden[row]])[0, 1]
                    for row in range(n_users)
                ]
            )
        return (
            Start(model.rating.factors, model.ranking.factors),
            float(np.sqrt(np.mean(error**2))),
            float(rank),
        )

    start, *_ = night(early)
    _, cold_rmse, cold_rank = night(seen)
    _, warm_rmse, warm_rank = night(seen, start)
    _, third_rmse, _ = night(seen, third=True)
    assert warm_rmse < cold_rmse + 0.01 < third_rmse - 0.005  # a third from the start is not enough
    assert warm_rank > cold_rank - 0.02
