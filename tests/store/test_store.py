"""Readers see one run, and only published ones."""

import json
import threading

import duckdb
import pandas as pd
import polars as pl
import pytest

from cofi_jobs.core.errors import StoreError
from cofi_jobs.store.store import Store
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


def test_a_damaged_marker_is_named(store: Store):
    (store.root / "CURRENT.json").write_text("{")
    with pytest.raises(StoreError, match=r"CURRENT\.json is not valid JSON"):
        store.current()
