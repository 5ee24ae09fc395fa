"""A record that is lost is an error before anything is removed; what a person made stays."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cofi_jobs.core.errors import DamageError, StoreError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.batches import checked_parts, recover, vacuum
from cofi_jobs.store.compaction import compact
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.data import random_ratings, write_ratings
from tests.support.ingestion import take_long_ago

SETTINGS = load_settings(["rating_low=1", "rating_high=5"])
KEYS = ["n1", "n2", "n3", "n4"]


@pytest.fixture
def nights(store: Store) -> Store:
    for seed, key in enumerate(KEYS):
        take_long_ago(store, key, random_ratings(n_users=9, n_items=8, seed=seed))
    return store


def everything(store: Store) -> set[Path]:
    return {path for path in store.root.rglob("*") if not path.name.startswith(".lock")}


def publish_a_manifest(store: Store) -> None:
    store.table("n4", "model").mkdir(parents=True)
    store.records.write_manifest("n4", {"run_key": "n4", "batches": KEYS})


@pytest.mark.parametrize("clean", [vacuum, recover])
def test_without_the_record_of_compacted_batches_nothing_is_removed(
    nights: Store, clean: Callable[[Store], None]
) -> None:
    record = nights.path("merged.json")
    assert compact(nights, load_settings(["max_batches=3"])) == ["n1", "n2", "n3"]
    older = record.read_bytes()
    for key in ("n5", "n6", "n7"):
        take_long_ago(nights, key, random_ratings(n_users=9, n_items=8, seed=int(key[1])))
    assert compact(nights, load_settings(["max_batches=3"]))[-1] == "n6"
    newer, before = record.read_bytes(), everything(nights)
    for content in (None, older):
        record.unlink(missing_ok=True)
        if content:
            record.write_bytes(content)
        with pytest.raises(StoreError, match=r"expected \d+ ratings there. If merged.json is lost"):
            clean(nights)
        assert everything(nights) >= before - {record}
    record.write_bytes(newer)
    clean(nights)
    assert everything(nights) == before


def test_a_compacted_file_without_a_record_goes_where_all_batches_are_there(nights: Store) -> None:
    leftover = nights.path("ratings/merged/up-to-n2.parquet")
    leftover.parent.mkdir()
    shutil.copy(next(nights.ratings("n1").iterdir()), leftover)
    vacuum(nights)
    assert not leftover.exists()


@pytest.mark.parametrize("task", ["ingest", "normalize"])
def test_a_store_with_ratings_and_no_properties_is_not_new(nights: Store, task: str) -> None:
    nights.path("store.json").unlink()
    write_ratings(nights.landing / "n5.csv", random_ratings(seed=5))
    with pytest.raises(StoreError, match=r"found no .*store.json beside the ratings of 4 runs"):
        run_task(task, nights, SETTINGS, "n5" if task == "ingest" else "n4")


def test_the_record_of_a_batch_of_the_published_run_is_missed(nights: Store) -> None:
    publish_a_manifest(nights)
    take_long_ago(nights, "n5", random_ratings(seed=5))
    nights.path("tasks/n2/ingest.json").unlink()
    before = everything(nights)
    message = r"found no .*tasks/n2/ingest.json, expected that of a batch .* run n4"
    with pytest.raises(StoreError, match=message):
        run_task("normalize", nights, SETTINGS, "n5")
    with pytest.raises(StoreError, match=message):
        vacuum(nights)
    with pytest.raises(DamageError, match="1 damaged"):
        run_task("verify", nights, SETTINGS, "v1")
    assert everything(nights) >= before


@pytest.mark.parametrize(
    "name",
    [
        "rejected/batch=mine/notes.txt",
        "rejected/batch=n1-copy/part-1.parquet",
        "ratings/merged/notes.txt",
        "ratings/merged/copy.parquet",
        "ratings/batch=n1/copy.parquet",
        "catalogue/.tmp-mine.csv",
        "lists/.tmp-new.txt",
        "mine/.tmp-x/notes.txt",
    ],
)
def test_files_that_a_person_made_stay(nights: Store, name: str) -> None:
    path = nights.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    compact(nights, load_settings(["max_batches=3"]))
    recover(nights)
    assert path.exists() == (name != "ratings/batch=n1/copy.parquet"), (
        "a compacted batch goes whole"
    )


def test_a_batch_whose_replacement_was_killed_is_compared_with_its_digest(nights: Store) -> None:
    folder = nights.path("ratings/batch=n1")
    folder = folder.rename(folder.with_name(".tmp-old-batch=n1"))  # between two renames
    checked_parts(nights)
    [part] = folder.iterdir()
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(DamageError, match="is damaged"):
        checked_parts(Store(nights.root))  # a store compares each file once
