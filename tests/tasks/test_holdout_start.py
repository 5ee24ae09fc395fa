"""What a run's holdout model starts from: rows by id, and nothing of the test ratings."""

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
    StoredModel,
    row_numbers,
)
from cofi_jobs.model.warm_start import Start
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.renames import RENAMED
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.run_tables import read_model
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout_start import holdout_start
from cofi_jobs.tasks.run_ratings import run_ratings
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings, write_ratings
from tests.support.nights import run_night

BY_ADAM = "exact_users=False"
BASE = [*QUICK, "rating_low=1", "rating_high=5"]


def two_runs() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The ratings of two runs; the second has newer ones, of old and of new users and items."""
    frame = random_ratings(n_users=40, n_items=30)
    later = (frame["userId"] > 115) | (frame["movieId"] > 280)
    first = frame[~later].iloc[: int(0.9 * (~later).sum())]
    return first, frame.drop(first.index).assign(timestamp=lambda rows: rows["timestamp"] + 10**6)


FIRST, SECOND = two_runs()


def is_test(frame: pd.DataFrame) -> np.ndarray:
    """Mask of each user's newest fifth."""
    order = frame.sort_values(["userId", "timestamp"])
    n, place = (
        order.groupby("userId")["movieId"].transform("size"),
        order.groupby("userId").cumcount(),
    )
    return (place >= n - np.clip(np.floor(n * 0.2), 1, n - 1)).reindex(frame.index).to_numpy()


@pytest.fixture(scope="module", params=[True, False], ids=["exact users", "users by Adam"])
def base(request: pytest.FixtureRequest) -> list[str]:
    """Settings; whether the users' rows are carried over depends on how they are learned."""
    return [*BASE, f"exact_users={request.param}"]


@pytest.fixture(scope="module")
def first_run(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store after the first run; not to be changed."""
    store = Store(tmp_path_factory.mktemp("first") / "store").create()
    write_ratings(store.landing / "first.csv", FIRST)
    run_night(store, load_settings(base), "n1")
    return store


@pytest.fixture
def prepared(first_run: Store, tmp_path: Path) -> Store:
    """A copy of that store."""
    return Store(shutil.copytree(first_run.root, tmp_path / "prepared", symlinks=True))


def start_of(
    store: Store, frame: pd.DataFrame, base: list[str]
) -> tuple[str | None, Start | None, StoredModel]:
    """What `train` of a second run would start from, and the holdout model of the first."""
    settings = load_settings(base)
    write_ratings(store.landing / "second.csv", frame)
    for task in ("ingest", "normalize"):
        run_task(task, store, settings, "n2")
    return *_start(store, settings), read_model(store.table("n1", "trial"))


def _start(store: Store, settings: Settings) -> tuple[str | None, Start | None]:
    with run_ratings(store, "n2", settings) as ratings:
        return holdout_start(store, settings, "n2", ids(store)[1], ratings)


def ids(store: Store) -> list[pa.Array]:
    folder = store.table("n2", "normalized")
    return [
        pq.read_table(folder / f"{side}s.parquet")[f"{side}_id"].combine_chunks()
        for side in ("user", "item")
    ]


def test_the_second_run_goes_on_from_the_holdout_model_of_the_first(
    prepared: Store, base: list[str]
):
    last, start, earlier = start_of(prepared, SECOND, base)
    assert last == "n1"
    assert start is not None
    users, items = (
        row_numbers(*pair)
        for pair in zip(ids(prepared), (earlier.user_id, earlier.item_id), strict=True)
    )
    assert start.rating is not None
    assert earlier.rating is not None
    assert 0 < (users < 0).sum() < len(users)
    assert 0 < (items < 0).sum() < len(items)
    for mine, theirs in ((start.rating, earlier.rating), (start.ranking, earlier.ranking)):
        np.testing.assert_array_equal(mine.X[items >= 0], theirs.X[items[items >= 0]])
        if BY_ADAM in base:
            np.testing.assert_array_equal(mine.W[users >= 0], theirs.W[users[users >= 0]])
            np.testing.assert_array_equal(mine.b[users >= 0], theirs.b[users[users >= 0]])
        else:  # their rows follow from X
            assert mine.W.shape == (0, mine.X.shape[1])
            assert mine.b.shape == (0,)
        assert np.abs(mine.X[items < 0]).min() > 0


def test_it_takes_a_third_of_the_steps_and_repeats_to_the_bit(prepared: Store, base: list[str]):
    start_of(prepared, SECOND, base)
    first = run_task("train", prepared, load_settings(base), "n2")
    assert first["started_from"] == "n1"
    losses = pq.read_table(prepared.table("n2", "training") / "losses.parquet").to_pandas()
    assert losses.groupby(["fit", "head"])["step"].max().tolist() == [1] * 4
    before = read_model(prepared.table("n2", "trial"))
    # A run published later, though newer, is not where this one starts.
    for folder in ("runs", "tasks"):
        shutil.copytree(prepared.root / folder / "n1", prepared.root / folder / "n3")
    prepared.records.write_manifest("n3", prepared.manifest("n1") or {})
    prepared.set_current("n3")
    assert run_task("train", prepared, load_settings(base), "n2")["started_from"] == "n1"
    after = read_model(prepared.table("n2", "trial"))
    for name in ("X", "W", "b"):
        np.testing.assert_array_equal(getattr(before.ranking, name), getattr(after.ranking, name))
        np.testing.assert_array_equal(getattr(before.rating, name), getattr(after.rating, name))


def test_nothing_of_the_test_ratings_is_in_the_start(
    prepared: Store, base: list[str], tmp_path: Path
):
    """Only the second run's test ratings differ: the start is the same, bit for bit."""
    everything = pd.concat([FIRST, SECOND], ignore_index=True)
    hidden = is_test(everything)
    assert hidden[: len(FIRST)].any()  # some of them were there in the first run
    changed = everything.assign(
        rating=everything["rating"].where(~hidden, 6 - everything["rating"])
    )
    other = Store(tmp_path / "other").create()
    write_ratings(other.landing / "first.csv", changed[: len(FIRST)])
    run_night(other, load_settings(base), "n1")
    starts = [
        start_of(prepared, everything[len(FIRST) :], base)[1],
        start_of(other, changed[len(FIRST) :], base)[1],
    ]
    for model in ("rating", "ranking"):
        for name in ("X", "W", "b"):
            np.testing.assert_array_equal(
                *(getattr(getattr(start, model), name) for start in starts)
            )
    published = [
        pd.read_parquet(store.table("n1", "model") / "item_factors.parquet")
        for store in (prepared, other)
    ]
    assert not published[0].equals(published[1])


def test_what_the_earlier_model_learned_from_a_test_rating_of_today_is_forgotten(
    prepared: Store, base: list[str]
):
    changed = (
        FIRST[~is_test(FIRST)].groupby("userId").head(1).iloc[3]
    )  # a train rating of the first run, a test rating of the second
    again = pd.DataFrame([changed]).assign(rating=6 - changed["rating"], timestamp=17 * 10**8)
    _, start, earlier = start_of(prepared, pd.concat([SECOND, again]), base)
    assert start is not None
    users, items = ids(prepared)
    of_items = start.ranking.X, earlier.ranking.X, items, earlier.item_id, "movieId"
    of_users = start.ranking.W, earlier.ranking.W, users, earlier.user_id, "userId"
    for mine, theirs, rows, old, key in (of_items, of_users) if BY_ADAM in base else (of_items,):
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
def test_no_warm_start_from_another_cost_or_split(
    prepared: Store, base: list[str], change: str, reason: str, caplog
):
    if not change:
        shutil.rmtree(prepared.table("n1", "trial"))
    with caplog.at_level(logging.INFO):
        write_ratings(prepared.landing / "second.csv", SECOND)
        settings = load_settings([*base, *filter(None, [change])])
        for task in ("ingest", "normalize"):
            run_task(task, prepared, settings, "n2")
        assert _start(prepared, settings) == (None, None)
    assert (
        f"no warm start from run n1: {reason}" in caplog.text
        if reason
        else "warm start" not in caplog.text
    )


def test_a_run_whose_records_have_old_names_of_settings_is_a_start(
    prepared: Store, base: list[str]
):
    """A run published before settings were renamed counts as if it had the new names."""
    write_ratings(prepared.landing / "second.csv", SECOND)
    for task in ("ingest", "normalize"):
        run_task(task, prepared, load_settings(base), "n2")
    _, expected = _start(prepared, load_settings(base))
    manifest, trained = prepared.manifest("n1"), prepared.required_outcome("n1", "train")
    assert manifest is not None
    prepared.records.write_manifest("n1", manifest | {"settings": old_names(manifest["settings"])})
    prepared.records.write_outcome(
        "n1", "train", trained | {"settings": old_names(trained["settings"])}
    )
    key, start = _start(prepared, load_settings(base))
    assert key == "n1"
    assert start is not None
    assert expected is not None
    np.testing.assert_array_equal(start.ranking.X, expected.ranking.X)
    np.testing.assert_array_equal(start.ranking.W, expected.ranking.W)


def old_names(settings: dict[str, Any]) -> dict[str, Any]:
    """A record of settings as it was written before some were renamed."""
    old = {new: old for old, new in RENAMED.items()}
    return {old.get(name, name): settings[name] for name in settings if name not in RENAMED}
