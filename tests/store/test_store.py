"""The store's promises: whole or not at all, readers see one run, nothing published is rewritten."""

import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.errors import SettingsError, StoreError
from cofi_jobs.store.run_keys import check_run_key, run_key_at
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.publish import prune


def publish(store: Store, run_key: str, rows: int = 3) -> None:
    """A published run whose one table holds its key in every row."""
    with store.replace_folder(store.table(run_key, "recommendations")) as folder:
        pq.write_table(pa.table({"run": [run_key] * rows}), folder / "part-00000.parquet")
    store.records.write_manifest(run_key, {"run_key": run_key})
    store.set_current(run_key)


def test_a_folder_appears_whole_and_replaces_the_old_one(store: Store):
    target = store.table("a", "model")
    for content in ("first", "second"):
        with store.replace_folder(target) as folder:
            (folder / "file").write_text(content)
            assert not target.exists() or (target / "file").read_text() == "first"
        assert (target / "file").read_text() == content
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_an_error_leaves_the_old_folder(store: Store):
    target = store.table("a", "model")
    with store.replace_folder(target) as folder:
        (folder / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), store.replace_folder(target) as folder:
        (folder / "file").write_text("half")
        raise KeyboardInterrupt
    assert (target / "file").read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_a_stop_between_the_two_renames_is_healed(store: Store):
    target = store.table("a", "model")
    with store.replace_folder(target) as folder:
        (folder / "file").write_text("old")
    target.rename(target.with_name(".tmp-old-model"))  # as if killed there
    with pytest.raises(RuntimeError), store.replace_folder(target):
        assert (target / "file").read_text() == "old"
        raise RuntimeError
    assert (target / "file").read_text() == "old"


def hold_lock(root: Path, ready: Path) -> None:
    with Store(root).lock("train"):
        ready.touch()
        time.sleep(60)


def test_a_killed_process_gives_its_lock_back(store: Store, tmp_path: Path):
    ready = tmp_path / "ready"
    process = multiprocessing.get_context("spawn").Process(
        target=hold_lock, args=(store.root, ready)
    )
    process.start()
    while not ready.exists():
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGKILL)
    with store.lock("train"):
        pass
    process.join()


def test_current_points_to_published_runs_only(store: Store):
    publish(store, "a")
    with pytest.raises(StoreError, match=r"run b is not published .* published runs: a"):
        store.set_current("b")
    assert store.current() == "a"
    assert json.loads((store.root / "CURRENT.json").read_text()) == {
        "run_key": "a",
        "path": "runs/a",
    }
    assert (store.root / "current").resolve() == store.root / "runs" / "a"


# Polars and DuckDB open a file more than once, so they need the link resolved; pandas does not.
READERS = {
    "pandas": lambda path: pd.read_parquet(path)["run"].value_counts().to_dict(),
    "pandas, resolved": lambda path: (
        pd.read_parquet(path.resolve())["run"].value_counts().to_dict()
    ),
    "polars, resolved": lambda path: dict(
        pl.read_parquet(f"{path.resolve()}/*.parquet")["run"].value_counts().iter_rows()
    ),
    "duckdb, resolved": lambda path: dict(
        duckdb.execute(
            f"SELECT run, count(*) FROM '{path.resolve()}/*.parquet' GROUP BY run"
        ).fetchall()
    ),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
def test_readers_see_one_run_while_others_are_published(store: Store, reader):
    sizes = {"a": 20_000, "b": 1_000_000}  # so the footers lie at very different places
    for key, rows in sizes.items():
        publish(store, key, rows)
    stop = threading.Event()

    def switch() -> None:
        while not stop.is_set():
            for key in sizes:
                store.set_current(key)

    thread = threading.Thread(target=switch)
    thread.start()
    try:
        seen = [reader(store.root / "current" / "recommendations") for _ in range(60)]
    finally:
        stop.set()
        thread.join()
    assert all(counts in ({"a": sizes["a"]}, {"b": sizes["b"]}) for counts in seen)
    assert len({*map(str, seen)}) == 2  # both runs were met


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


@pytest.mark.parametrize("key", ["", ".", "..", "../x", "a/b", "a b", "a\0", "-a", "ä", "a" * 101])
def test_keys_that_cannot_name_a_folder_are_refused(key: str):
    with pytest.raises(SettingsError, match="found the run key"):
        check_run_key(key)


def test_keys_of_times_sort_by_time():
    times = pd.date_range("2025-12-31 22:00", periods=50, freq="37min", tz="Europe/Berlin")
    keys = [run_key_at(time.to_pydatetime()) for time in times]
    assert keys == sorted(set(keys))
    assert [check_run_key(key) for key in keys] == keys


def test_a_damaged_marker_is_named(store: Store):
    (store.root / "CURRENT.json").write_text("{")
    with pytest.raises(StoreError, match=r"CURRENT\.json is not valid JSON"):
        store.current()
