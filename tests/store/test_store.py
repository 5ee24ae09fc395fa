"""Readers see one run, and only published ones."""

import json
import os
import shutil
import threading
import time
from contextlib import suppress
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest

from cofi_jobs.core.errors import StoreError
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.publish import prune
from tests.support.processes import exit_code
from tests.support.published import publish


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


@pytest.mark.slow
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


def test_a_move_of_the_pointer_that_was_killed_is_ended(store: Store):
    for key in "abc":
        publish(store, key)
    link, left = store.root / "current", store.root / "manifests" / "a.left"
    link.unlink()
    link.symlink_to("runs/a")  # readers of the link stayed there: they leave a only now
    os.utime(left, (0, 0))
    store.align_link()
    assert (link.resolve().name, store.current()) == ("c", "c")
    assert left.stat().st_mtime > 0
    link.unlink()
    store.align_link()
    assert link.resolve().name == "c"


def test_readers_are_not_pointed_to_a_run_without_tables(store: Store):
    for key in "ab":
        publish(store, key)
    shutil.rmtree(store.root / "runs" / "a")
    with pytest.raises(StoreError, match=r"found a manifest of run a in .*, but no tables"):
        store.set_current("a")
    assert ((store.root / "current").resolve().name, store.current()) == ("b", "b")


def slowly(*arguments: Any) -> None:
    time.sleep(0.01)
    RENAME(*arguments)


RENAME = os.replace


def roll_back_slowly(root: str, run_key: str) -> None:
    os.replace = slowly  # type: ignore[assignment]
    with Store(root).lock("publish", run_key) as store, suppress(StoreError):
        store.set_current(run_key)


@pytest.mark.slow
def test_a_rollback_beside_a_publication_leaves_link_and_record_on_one_run(store: Store):
    for key in "abcd":
        publish(store, key)
    threads = [
        threading.Thread(target=exit_code, args=(roll_back_slowly, str(store.root), key))
        for key in "abcdab"
    ]
    for thread in threads:
        thread.start()
    with store.lock("publish"):
        prune(store, keep_runs=2, run_key="d")
    for thread in threads:
        thread.join()
    current = store.current()
    assert current in store.published()
    assert (store.root / "current").resolve().name == current
    assert store.table(current, "").is_dir()


def test_a_damaged_marker_is_named(store: Store):
    (store.root / "CURRENT.json").write_text("{")
    with pytest.raises(StoreError, match=r"CURRENT\.json is not valid JSON"):
        store.current()
