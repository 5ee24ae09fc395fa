"""Tables of a run as arrays."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.store import parquet, run_tables
from cofi_jobs.store.run_tables import (
    count_ratings_from,
    has_model,
    n_users,
    ratings_of_users,
    read_draws,
    read_model,
    read_ratings,
    read_times,
    user_blocks,
)
from cofi_jobs.store.vectors import to_column

COUNTS = np.array([3, 0, 5, 1, 2], np.int32)
DRAWS = [9, 7, 65535, 1, 4, 4, 3, 40_000, 5, 6, 0]
TIMES = [None, None, 1, 1, 1, 2, 3, 3, 3, 3, 3]  # of users 0, 0, 0, 2, 2, 2, 2, 2, 3, 4, 4
TIED = [False, True, *[False] * 2, True, *[False] * 2, True, *[False] * 2, True]


@pytest.fixture
def normalized(tmp_path: Path) -> Path:
    user = np.repeat(np.arange(5, dtype=np.int32), COUNTS)
    rng = np.random.default_rng(0)
    ratings = {
        "user_index": user,
        "item_index": rng.integers(4, size=len(user)).astype(np.int32),
        "rating": rng.integers(1, 6, size=len(user)).astype(np.float32),
        "timestamp": pa.array(TIMES, pa.timestamp("us", "UTC")),
        "draw": pa.array(DRAWS, pa.uint16()),
    }
    pq.write_table(pa.table(ratings), tmp_path / "ratings.parquet", row_group_size=2)
    pq.write_table(pa.table({"n_ratings": COUNTS}), tmp_path / "users.parquet")
    pq.write_table(pa.table({"item_index": np.arange(4)}), tmp_path / "items.parquet")
    return tmp_path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    vectors = np.arange(10, dtype=np.float32).reshape(5, 2)
    columns = {"rating_factors": to_column(vectors), "ranking_factors": to_column(-vectors)}
    users = {"user_id": list("abcde"), **columns, "bias": vectors[:, 0], "n_ratings": COUNTS}
    pq.write_table(pa.table(users), folder / "user_factors.parquet")
    items = {"item_id": list("vwxyz"), **columns, "mean": vectors[:, 1], "n_ratings": COUNTS}
    pq.write_table(pa.table(items), folder / "item_factors.parquet")
    return folder


def test_ratings_times_and_counts(normalized: Path):
    ratings = read_ratings(normalized)
    assert (ratings.n_users, ratings.n_items) == (5, 4)
    assert np.bincount(ratings.user_index).tolist() == COUNTS.tolist()
    times = read_times(normalized)
    assert np.isnat(times[:2]).all()
    assert times[2:].astype(int).tolist() == TIMES[2:]
    users = parquet.open_file(normalized / "users.parquet")
    assert np.concatenate([*ratings_of_users(users)]).tolist() == COUNTS.tolist()
    high = ratings.item_index[ratings.rating >= 3]
    assert count_ratings_from(normalized, 3, 4).tolist() == np.bincount(high, minlength=4).tolist()


@pytest.mark.parametrize("rows_at_once", [1, 2, 3, 11, 1 << 20])
def test_ratings_of_a_user_at_equal_times_or_without_are_tied(
    normalized: Path, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_tables, "ROWS_AT_ONCE", rows_at_once)
    tied = read_ratings(normalized).tied
    assert tied is not None
    assert tied.tolist() == TIED
    draws = read_draws(normalized)
    assert draws is not None
    assert draws.tolist() == DRAWS


def test_of_tables_of_older_versions_no_ties_are_known(normalized: Path, model: Path):
    path = normalized / "ratings.parquet"
    pq.write_table(pq.read_table(path).drop_columns("draw"), path)
    assert read_ratings(normalized).tied is None
    assert read_draws(normalized) is None
    assert [block.ratings.tied for block in user_blocks(model, normalized, 4, 2)] == [None] * 3


def test_a_model_with_the_ids_of_its_rows(model: Path, tmp_path: Path):
    assert has_model(model)
    assert not has_model(tmp_path / "none")
    stored = read_model(model)
    assert stored.user_id.to_pylist() == list("abcde")
    assert stored.item_id.to_pylist() == list("vwxyz")
    assert stored.rating is not None
    np.testing.assert_array_equal(stored.ranking.W, -stored.rating.W)
    assert stored.rating.b.tolist() == [0, 2, 4, 6, 8]
    assert not stored.ranking.b.any()
    assert stored.means.tolist() == [1, 3, 5, 7, 9]
    assert n_users(model) == 5


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_blocks_of_users_have_their_own_ratings(model: Path, normalized: Path, size: int):
    ratings, start = read_ratings(normalized), 0
    blocks = list(user_blocks(model, normalized, 4, size))
    assert ratings.tied is not None
    assert [len(block.user_id) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
    for block in blocks:
        end = start + len(block.user_id)
        mine = (ratings.user_index >= start) & (ratings.user_index < end)
        assert block.ratings.user_index.tolist() == (ratings.user_index[mine] - start).tolist()
        assert block.ratings.item_index.tolist() == ratings.item_index[mine].tolist()
        assert block.ratings.rating.tolist() == ratings.rating[mine].tolist()
        assert block.ratings.tied is not None
        assert block.ratings.tied.tolist() == ratings.tied[mine].tolist()
        assert block.bias.tolist() == [2 * user for user in range(start, end)]
        start = end
    assert start == 5
