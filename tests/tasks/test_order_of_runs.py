"""Runs are in the order in which they begin, whatever their keys say."""

import json
import logging
from datetime import UTC, datetime

import pandas as pd
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.report.overview import overview
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.compaction import compact
from cofi_jobs.store.run_keys import run_key_at
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import publish
from cofi_jobs.tasks.evaluate import last_published
from cofi_jobs.tasks.registry import DECLARED, TASKS
from cofi_jobs.tasks.runner import run_task
from tests.support.data import settle

SCALE = load_settings(["rating_low=1", "rating_high=5"])
TONIGHT = run_key_at(datetime(2026, 3, 1, 2, tzinfo=UTC))
AHEAD = run_key_at(datetime(2036, 3, 1, 2, tzinfo=UTC))
PAST = run_key_at(datetime(2016, 3, 1, 2, tzinfo=UTC))


def ingest(store: Store, key: str, stars: int) -> None:
    """A run takes a file in which user 1 gives item 1 so many stars, without a time."""
    path = store.landing / f"{len(list(store.landing.iterdir()))}.csv"
    path.write_text(f"user,item,rating\n1,1,{stars}\n{len(path.name)}{stars},2,3\n")
    settle(path)
    run_task("ingest", store, SCALE, key)


def rating(store: Store, key: str) -> float:
    """What user 1 gives item 1 as a run sees it."""
    run_task("normalize", store, SCALE, key)
    folder = store.table(key, "normalized")
    users, items, ratings = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("users", "items", "ratings")
    )
    user = users.loc[users["user_id"] == 1, "user_index"].item()
    item = items.loc[items["item_id"] == 1, "item_index"].item()
    is_pair = (ratings["user_index"] == user) & (ratings["item_index"] == item)
    return float(ratings.loc[is_pair, "rating"].item())


def published(store: Store, key: str, keep_runs: int = 7) -> None:
    """The task publish of a run whose other tasks are left out."""
    store.table(key, "").mkdir(parents=True, exist_ok=True)
    store.records.write_manifest(key, {"run_key": key})
    counts = dict.fromkeys(("seconds", *DECLARED["recommend"].counts), 0)
    store.records.write_outcome(key, "recommend", {**counts, "settings": {}})
    publish.run(store, load_settings([f"keep_runs={keep_runs}", "grace_hours=0"]), key)


@pytest.mark.parametrize("first", ["test", AHEAD])
@pytest.mark.parametrize("later", [TONIGHT, PAST])
def test_a_later_run_sees_all_batches_and_is_published(
    store: Store, first: str, later: str
) -> None:
    ingest(store, first, stars=1)
    assert rating(store, first) == 1.0
    published(store, first)
    ingest(store, later, stars=5)
    assert store.batches(up_to=later) == store.batches() == [first, later]
    assert rating(store, later) == 5.0  # it arrived later
    assert store.batches(up_to=first) == [first]
    assert last_published(store, later) == first
    assert last_published(store, first) is None
    published(store, later)
    assert (store.current(), store.published()) == (later, [first, later])
    assert [line.key for line in overview(store, TASKS)] == [later, first]


def test_pruning_removes_what_began_first(store: Store) -> None:
    for stars, key in enumerate(["z", "m", "a"], start=1):
        ingest(store, key, stars)
        rating(store, key)
        published(store, key, keep_runs=2)
    assert store.published() == ["m", "a"]
    assert store.batches() == ["z", "m", "a"]


def test_a_run_that_began_earlier_is_published_later_and_hides_nothing(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    ingest(store, "zzz", stars=1)
    ingest(store, "aaa", stars=2)
    published(store, "aaa")
    published(store, "zzz")
    assert store.current() == "aaa"
    assert "readers stay with run aaa, which began after it" in caplog.text
    assert last_published(store, "zzz") is None


def test_a_past_date_is_said_and_counts_as_arriving_now(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ingest(store, TONIGHT, stars=1)
    assert "earlier time" not in caplog.text
    ingest(store, PAST, stars=2)
    [line] = [r.message for r in caplog.records if "earlier time" in r.message]
    assert line.startswith(f"run {PAST} is named by an earlier time than run {TONIGHT}")
    assert "published as the newest" in line
    caplog.clear()
    ingest(store, PAST, stars=3)
    assert "earlier time" not in caplog.text  # a rerun keeps its place


def test_a_rerun_keeps_its_place_and_a_run_that_took_nothing_gets_a_new_one(store: Store) -> None:
    ingest(store, "b", stars=1)
    bad = store.landing / "bad.csv"
    bad.write_text("user,item,rating\n1,1,nothing\n")
    settle(bad)
    with pytest.raises(DataError):
        run_task("ingest", store, SCALE, "failed")
    bad.unlink()
    ingest(store, "a", stars=2)
    ingest(store, "b", stars=3)
    ingest(store, "failed", stars=4)
    assert store.batches() == ["b", "a", "failed"]


def test_a_batch_that_is_taken_again_as_its_outcome_was_removed_keeps_its_place(
    store: Store,
) -> None:
    ingest(store, "b", stars=1)
    ingest(store, "a", stars=2)
    (store.root / "tasks" / "b" / "ingest.json").unlink()  # as docs/operating.md says
    run_task("ingest", store, SCALE, "b")
    assert store.batches() == ["b", "a"]


def test_runs_of_a_store_of_an_older_version_come_first(store: Store) -> None:
    for stars, key in enumerate(["test", "2026-01-02", "2026-01-01"], start=1):
        ingest(store, key, stars)
    (store.root / "order.json").unlink()  # which older versions do not have
    assert store.batches() == ["2026-01-01", "2026-01-02", "test"]
    ingest(store, "2026-01-03", stars=5)
    assert store.batches() == ["2026-01-01", "2026-01-02", "test", "2026-01-03"]
    assert rating(store, "2026-01-03") == 5.0


def test_after_a_compaction_any_new_key_can_be_used(store: Store) -> None:
    for stars, key in enumerate("edcb", start=1):
        ingest(store, key, stars)
        published(store, key)
    assert compact(store, load_settings(["max_batches=2"])) == ["e", "d", "c"]
    ingest(store, "a", stars=5)
    assert rating(store, "a") == 5.0
    assert store.batches() == list("edcba")


def test_compaction_leaves_the_batch_of_a_run_alone_that_has_only_ingested(store: Store) -> None:
    ingest(store, "x", stars=1)
    published(store, "x")
    ingest(store, "under-way", stars=2)
    for stars, key in enumerate("abcd", start=3):
        ingest(store, key, min(stars, 5))
        published(store, key, keep_runs=2)
    compact(store, load_settings(["max_batches=2"]))
    assert store.records.compacted()["batches"] == ["x"]
    assert rating(store, "under-way") == 2.0


def test_the_order_is_one_small_record(store: Store) -> None:
    ingest(store, "b", stars=1)
    ingest(store, "a", stars=2)
    order = json.loads((store.root / "order.json").read_text())
    assert order == {"runs": [{"key": "b"}, {"key": "a"}]}
