"""Compaction: what a run computes from the batches stays the same, whenever a process is killed."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.errors import StoreError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.batches import compacted_part, taken_digests
from cofi_jobs.store.compaction import compact
from cofi_jobs.store.removal import remove_run
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.publish import prune
from cofi_jobs.tasks.runner import run_task
from tests.support.data import random_ratings, settle
from tests.support.ingestion import take_long_ago
from tests.support.kills import die_before, killed_at_each_step

SCALE = load_settings(["rating_low=1", "rating_high=5"])
TWO = load_settings(["max_batches=2"])
KEYS = [f"night-{number}" for number in range(7)]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Seven batches: ratings are changed, tie, come late, have no time, and are withdrawn."""
    store = Store(tmp_path_factory.mktemp("original") / "store").create()
    for number, key in enumerate(KEYS):
        frame = random_ratings(n_users=12, n_items=8, share=0.6, seed=number)
        frame["timestamp"] = 1_000_000_000 + frame.index % 3 * 10 + number % 2
        frame["op"] = ["d" if row % 9 == number else "u" for row in frame.index]
        take_long_ago(store, key, frame.drop(columns="timestamp") if number == 3 else frame)
    return store


@pytest.fixture
def nights(original: Store, tmp_path: Path) -> Store:
    return Store(shutil.copytree(original.root, tmp_path / "store", symlinks=True))


def normalized(store: Store, key: str = KEYS[-1]) -> dict[str, Any]:
    """The tables of a run, and what it counted."""
    outcome = run_task("normalize", store, SCALE, key)
    folder = store.table(key, "normalized")
    tables = {path.name: pd.read_parquet(path).to_csv() for path in sorted(folder.iterdir())}
    remove_run(store, key)
    return tables | {
        name: value for name, value in outcome.items() if name.startswith(("n_", "batches"))
    }


def test_a_night_is_the_same_before_and_after_compaction(nights: Store) -> None:
    before, taken = normalized(nights), taken_digests(nights)
    assert compact(nights, load_settings(["max_batches=7"])) == []
    assert compact(nights, load_settings(["max_batches=4"])) == KEYS[:5]
    assert compact(nights, load_settings(["max_batches=4"])) == []
    assert normalized(nights) == before
    assert (nights.batches(), taken_digests(nights)) == (KEYS, taken)
    assert sorted(path.name for path in nights.root.glob("ratings/*")) == [
        f"batch={k}" for k in KEYS[5:]
    ] + ["merged"]
    take_long_ago(nights, "night-7", random_ratings(12, 8, 0.6, seed=7))
    before = normalized(nights, "night-7")
    assert compact(nights, TWO) == ["night-5", "night-6"]
    assert normalized(nights, "night-7") == before
    assert len(list(compacted_part(nights, "").iterdir())) == 1


ROW = st.tuples(
    st.integers(1, 4), st.integers(10, 12), st.sampled_from(["1", "2", "5", ""]), st.integers(0, 2)
)


@pytest.mark.slow
@given(
    st.lists(st.lists(ROW, min_size=1, max_size=20), min_size=3, max_size=4, unique_by=str),
    st.sets(st.integers(0, 4), min_size=1),
)
@settings(max_examples=4, deadline=None)
def test_whenever_batches_are_compacted_the_newest_rating_counts(
    tmp_path_factory: Any, rows: Any, nights_with_compaction: set[int]
) -> None:
    stores = [Store(tmp_path_factory.mktemp("store")).create() for _ in range(2)]
    for number, night in enumerate([[(9, 9, "1", 0), (9, 8, "5", 0)], *rows]):
        lines = [
            f"{user},{item},{stars},{time},{'u' if stars else 'd'}"
            for user, item, stars, time in night
        ]
        for store in stores:
            path = store.landing / f"{number}.csv"
            path.write_text("\n".join(["user,item,rating,time,op", *lines]) + "\n")
            settle(path)
            run_task("ingest", store, SCALE, f"night-{number}")
            remove_run(store, f"night-{number}")
        if number in nights_with_compaction:
            compact(stores[0], TWO)
    apart, compacted = (normalized(store, f"night-{len(rows)}") for store in stores)
    assert compacted == apart


def test_what_a_run_under_way_needs_stays_apart(nights: Store) -> None:
    run_task("normalize", nights, SCALE, KEYS[2])
    before = pd.read_parquet(nights.table(KEYS[2], "normalized") / "ratings.parquet")
    assert compact(nights, TWO) == KEYS[:2]
    run_task("normalize", nights, SCALE, KEYS[2])  # again, as when its task is cleared
    assert pd.read_parquet(nights.table(KEYS[2], "normalized") / "ratings.parquet").equals(before)


@pytest.mark.parametrize("key", [KEYS[0], KEYS[4]])
def test_runs_of_compacted_batches_cannot_be_made_again(nights: Store, key: str) -> None:
    compact(nights, TWO)
    with pytest.raises(StoreError, match=f"compacted, so run {key} can take no more"):
        run_task("ingest", nights, SCALE, key)
    nights.records.write_outcome(key, "ingest", nights.outcome(KEYS[0], "ingest") or {})
    with pytest.raises(StoreError, match=f"compacted, so a run {key} cannot be made any more"):
        run_task("normalize", nights, SCALE, key)


def test_files_of_compacted_batches_are_not_taken_again(nights: Store) -> None:
    compact(nights, TWO)
    shutil.copy(nights.landing / "night-1.csv", nights.landing / "copy.csv")
    assert run_task("ingest", nights, SCALE, "night-8")["files"] == []


def test_pruning_leaves_compacted_batches(nights: Store) -> None:
    before = normalized(nights)
    compact(nights, TWO)
    prune(nights, keep_runs=2, run_key=KEYS[-1])
    assert normalized(nights) == before


def compact_and_die(root: str, step: int) -> None:
    """Compact, killed before the step-th change of the store; code 0 if there are fewer."""
    changes = [(Path, name) for name in ("replace", "rename", "unlink", "mkdir")]
    die_before(step, [*changes, (shutil, "rmtree")], of_each=2)
    compact(Store(root), TWO)


@pytest.mark.slow
def test_killed_at_any_step_no_rating_is_lost_or_counted_twice(
    nights: Store, tmp_path: Path
) -> None:
    compact(nights, load_settings(["max_batches=6"]))  # so that a compacted file is compacted again
    before, steps = normalized(nights), 0

    def fresh(step: int) -> Store:
        return Store(shutil.copytree(nights.root, tmp_path / f"store-{step}"))

    for store, _ in killed_at_each_step(compact_and_die, fresh):
        steps += 1
        assert normalized(store) == before
        compact(store, TWO)
        assert normalized(store) == before
        assert not list(store.root.glob(".tmp-*"))
        assert len(list(compacted_part(store, "").iterdir())) == 1
        assert sorted(path.name for path in store.root.glob("ratings/*")) == [
            f"batch={KEYS[-1]}",
            "merged",
        ]
    assert steps > 8
