"""Normalize by ranges of users: the same files as by all users at once, to the last bit."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cofi_jobs.core.errors import StoreError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.current_on_engine import Slice, range_bounds
from cofi_jobs.tasks.runner import run_task
from tests.support.current import in_ranges_of_users, way_of
from tests.support.data import random_ratings, write_ratings

COMMON = ["new_account_weight=0.5", "id_type=string", "settle_seconds=0"]


@pytest.mark.slow
@pytest.mark.parametrize("feedback", ["ratings", "events"])
def test_the_files_are_those_of_one_database(store: Store, feedback: str) -> None:
    settings = load_settings([*COMMON, f"feedback={feedback}", "event_half_life_days=3"])
    for seed, run_key in enumerate(["n1", "n2", "n3"]):
        ratings = random_ratings(n_users=50, n_items=40, seed=seed)
        if seed == 1:  # no order among the ratings of a user
            ratings["timestamp"] = 1_500_000_000
        if feedback == "events":
            ratings = ratings.rename(columns={"rating": "plays"})
        write_ratings(store.landing / f"{run_key}.csv", ratings)
        run_task("ingest", store, settings, run_key)
    folder = store.table("n3", "normalized")
    outcomes, files = [], []
    for way in (lambda patch: None, in_ranges_of_users):
        with way_of(way):
            outcome = run_task("normalize", store, settings, "n3")
        outcomes.append({name: outcome[name] for name in outcome if name.startswith("n_")})
        files.append({path.name: pq.read_table(path) for path in folder.iterdir()})
    assert outcomes[0] == outcomes[1]
    assert set(files[1]) == {"ratings.parquet", "users.parquet", "items.parquet"}
    for name, table in files[0].items():
        assert table.num_rows > 30
        other = files[1][name]
        assert (other.schema.names, other.schema.types) == (table.schema.names, table.schema.types)
        # DuckDB says of some columns that they have no nulls.
        assert other.cast(table.schema).equals(table), name


@given(st.lists(st.integers(0, 9) | st.sampled_from("abc").map(str), min_size=1), st.integers(1, 8))
def test_ranges_are_as_many_as_asked_for_or_fewer_and_differ(ids: list, n: int) -> None:
    column = np.array([str(i) for i in ids], dtype=object)
    bounds = range_bounds(column, n)
    assert len(bounds) < n
    assert list(bounds) == sorted(set(bounds))
    sizes = np.bincount(np.searchsorted(bounds, column, side="right"), minlength=len(bounds) + 1)
    assert sizes[1:].all(), "each range but the first begins with one of the ids"


def test_a_machine_without_the_file_says_so(tmp_path: Path) -> None:
    part = Slice("ratings/batch=n1/a.parquet", [0], 0)
    with pytest.raises(StoreError, match=r"a worker found no file .*a shared folder or a bucket"):
        part.read(str(tmp_path), ["user_id"])
