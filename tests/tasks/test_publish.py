"""Which runs publish removes."""

import os
import time

from cofi_jobs.store.store import Store
from cofi_jobs.tasks.publish import prune
from tests.support.published import publish


def test_pruning_keeps_the_newest_the_current_and_runs_under_way(store: Store):
    for key in "abcde":
        publish(store, key)
    store.set_current("b")
    for key in ("0-under-way", "1-given-up"):
        with store.replace_folder(store.table(key, "normalized")):
            pass
        store.records.write_outcome(key, "normalize", {})
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
