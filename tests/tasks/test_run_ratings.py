"""Workers of train read the ratings of their users, as the task would read those of all."""

import functools

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.errors import DataError, StoreError
from cofi_jobs.core.ratings import Ratings, joined_ratings
from cofi_jobs.engine.workers import LocalWorkers
from cofi_jobs.model.chunks import chunks
from cofi_jobs.model.sharded import UserShard
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import parquet
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout import read_split
from cofi_jobs.tasks.run_ratings import RunRatings
from cofi_jobs.tasks.run_split import files_of, parts_of_users, read_part
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings, write_ratings

DAYS = "test_days=0.001"


@pytest.fixture(scope="module")
def normalized(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with ratings of equal times, in row groups that users cross."""
    store = Store(tmp_path_factory.mktemp("store")).create()
    frame = random_ratings()
    frame["timestamp"] -= frame["timestamp"] % 20
    write_ratings(store.landing / "ratings.csv", frame)
    for task in ("ingest", "normalize"):
        run_task(task, store, load_settings(QUICK), "n1")
    path = store.table("n1", "normalized") / "ratings.parquet"
    pq.write_table(pq.read_table(path), path, row_group_size=37)
    return store


@pytest.mark.parametrize("changes", [[], [DAYS]], ids=["share", "days"])
@pytest.mark.parametrize("n", [1, 2, 5, 100])
def test_the_parts_together_are_the_ratings_and_test_ratings_of_the_run(normalized, n, changes):
    settings = load_settings([*QUICK, *changes])
    path = normalized.table("n1", "normalized") / "ratings.parquet"
    columns = pq.read_table(path, columns=["user_index", "item_index", "rating"])
    time = pq.read_table(path, columns=["timestamp"])["timestamp"].cast("int64").to_numpy()
    files = files_of(normalized, "n1", "ray")
    read = [read_part(files, settings, part, 20) for part in parts_of_users(files("users"), n)]
    ratings = joined_ratings([part for part, _ in read])
    is_test = np.concatenate([mask for _, mask in read])
    for name, values in zip(columns.column_names, columns.columns, strict=True):
        np.testing.assert_array_equal(getattr(ratings, name), values.to_numpy())
    assert ratings.tied is not None
    new_user = np.diff(ratings.user_index, prepend=-1) != 0
    same_time = np.diff(time, prepend=time[0] - 1) == 0
    np.testing.assert_array_equal(ratings.tied, same_time & ~new_user)
    if changes:
        np.testing.assert_array_equal(is_test, time > time.max() - int(0.001 * 86400) * 10**6)
    else:
        # From the whole table, without its draws of parts.
        whole = _whole_mask(normalized, settings)
        np.testing.assert_array_equal(is_test, whole)
    assert 0 < is_test.sum() < len(is_test)


def _whole_mask(store: Store, settings) -> np.ndarray:
    store.records.forget_outcomes("n1", {"normalize"})  # its digests are those of one row group
    return read_split(store, "n1", settings)[1]


@pytest.mark.parametrize("row_group_size", [1000, 33, 1])
def test_parts_have_about_as_many_ratings_and_each_user_is_in_one(tmp_path, row_group_size):
    counts = np.random.default_rng(0).integers(0, 50, 200)
    path = tmp_path / "users.parquet"
    pd.DataFrame({"n_ratings": counts}).to_parquet(path, row_group_size=row_group_size)
    parts = parts_of_users(parquet.open_file(path), 4)
    assert parts == chunks(counts, 4)
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
    assert (parts[0].start, parts[-1].stop) == (0, 200)
    for part in parts:
        assert abs(counts[part].sum() - counts.sum() / 4) <= 50


@pytest.mark.parametrize(
    "rows", [slice(0, 0), slice(0, 5), slice(9, 11), slice(30, 31), slice(0, 31)]
)
def test_rows_of_a_file_are_read_from_the_row_groups_that_hold_them(tmp_path, rows):
    frame = pd.DataFrame({"a": np.arange(31), "b": 0})
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=10)
    with parquet.open_file(tmp_path / "t.parquet") as file:
        read = parquet.read_rows(file, ["a"], rows)
    assert read.column_names == ["a"]
    assert read["a"].to_pylist() == list(range(31))[rows]


def test_a_worker_that_does_not_reach_the_store_says_what_it_needs(normalized, tmp_path):
    with pytest.raises(StoreError, match="a shared folder or a bucket"):
        files = files_of(Store(tmp_path / "elsewhere"), "n1", "ray")
        read_part(files, load_settings(QUICK), slice(0, 1), 20)


def test_no_rating_to_learn_from_is_an_error():
    rows = np.zeros(3, np.int32)
    ratings = Ratings(rows, rows, np.ones(3, np.float32), 1, 1)
    workers = LocalWorkers([UserShard(ratings, np.ones(3, bool), None)] * 2)
    make = functools.partial(RunRatings, workers, [1, 1], None)
    with pytest.raises(DataError, match="test_days"):
        make(test_days=3.0).counts("train")
