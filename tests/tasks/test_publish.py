"""Which runs publish removes."""

import os
import shutil
import time

import pytest

from cofi_jobs.core.errors import StoreError
from cofi_jobs.store.batches import recover
from cofi_jobs.store.removal import half_removed
from cofi_jobs.store.status import state_of
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.publish import prune
from tests.support.ingestion import GOOD, drop, ingest
from tests.support.published import publish


def test_pruning_keeps_the_newest_the_current_and_runs_under_way(store: Store):
    for key in "abcde":
        publish(store, key)
    store.set_current("b")
    for key in ("0-under-way", "1-given-up"):
        with store.replace_folder(store.table(key, "normalized")):
            pass
        store.records.write_outcome(key, "normalize", {"settings": {}, "seconds": 1.0})
    eight_days_ago = time.time() - 8 * 86_400
    os.utime(
        store.root / "tasks" / "1-given-up" / "normalize.json", (eight_days_ago, eight_days_ago)
    )
    for key in "abcde":
        store.records.write_outcome(key, "ingest", {"files": []})
    assert prune(store, keep_runs=2, run_key="e") == ["1-given-up", "a", "c"]
    assert store.run_keys() == ["0-under-way", "b", "d", "e"]
    assert store.published() == ["b", "d", "e"]
    assert store.batches() == list("abcde")  # what was read, and from where, is never forgotten


def test_a_run_that_readers_left_at_a_time_to_come_is_kept_as_if_they_left_it_now(store: Store):
    for key in "ab":
        publish(store, key)
    tomorrow = time.time() + 86_400
    os.utime(store.root / "manifests" / "a.left", (tomorrow, tomorrow))
    assert prune(store, keep_runs=1, run_key="b", grace_hours=1) == []
    assert prune(store, keep_runs=1, run_key="b") == ["a"]
    assert prune(store, keep_runs=2, run_key="e") == []


def test_pruning_waits_for_readers_of_runs_that_were_current_until_recently(store: Store):
    for key in "abcde":
        publish(store, key)
    left = store.root / "manifests"
    long_ago = time.time() - 3 * 3600
    os.utime(left / "a.left", (long_ago, long_ago))
    assert prune(store, keep_runs=2, run_key="e", grace_hours=2) == ["a"]
    store.set_current("b")  # a rollback: then e was left last
    store.set_current("e")
    os.utime(left / "c.left", (long_ago, long_ago))
    assert prune(store, keep_runs=2, run_key="e", grace_hours=2) == ["c"]
    assert prune(store, keep_runs=2, run_key="e", grace_hours=0) == ["b"]
    assert sorted(path.name for path in left.iterdir()) == ["d.json", "d.left", "e.json", "e.left"]


def test_what_a_person_put_beside_the_runs_stays(store: Store):
    publish(store, "a")
    (store.root / "runs" / "backup").mkdir()
    (store.root / "runs" / "my notes").mkdir()
    (store.root / "manifests" / ".tmp-a.json").write_text("{")  # of a killed process
    assert store.published() == ["a"]
    assert prune(store, keep_runs=1, run_key="a") == []
    assert sorted(path.name for path in (store.root / "runs").iterdir()) == [
        *("a", "backup", "my notes")
    ]


def test_a_run_whose_removal_is_refused_is_removed_later(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    for key in "ab":
        publish(store, key)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "runs/a")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", refuse)
        assert prune(store, keep_runs=1, run_key="b") == []
    assert "run a is not removed yet" in caplog.text
    assert half_removed(store) == ["a"]
    assert state_of(store, "a", []) == ("half removed", "")
    with pytest.raises(StoreError, match="run a is not published"):
        store.set_current("a")
    assert prune(store, keep_runs=1, run_key="b") == ["a"]
    assert half_removed(store) == []
    assert store.run_keys() == ["b"]


def test_the_run_that_readers_use_is_never_taken_for_half_removed(store: Store):
    publish(store, "a")
    publish(store, "b")
    store.set_current("a")  # a was left once
    (store.root / "manifests" / "a.json").unlink()
    assert prune(store, keep_runs=1, run_key="b") == []
    assert store.table("a", "").is_dir()


def test_a_file_of_a_person_that_is_named_as_a_removal_stays(store: Store):
    """Until a run of that key begins: it must not be taken for half removed then."""
    publish(store, "a")
    notes = store.root / "manifests" / "notes.left"
    notes.write_text("what is left to do")
    assert prune(store, keep_runs=1, run_key="a") == []
    recover(store)
    assert half_removed(store) == []
    assert notes.read_text() == "what is left to do"
    drop(store, "ratings.csv", GOOD)
    ingest(store, "notes")
    assert half_removed(store) == []
    assert not notes.exists()
    assert prune(store, keep_runs=1, run_key="a") == []
    assert store.batches() == ["notes"]
