"""What is found in tables of users a batch at a time is what pandas finds in whole tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cofi_jobs.report.id_tables import n_new, users_at
from cofi_jobs.store import parquet

N = 200_000  # several batches of Arrow's


def users(seed: int, as_text: bool) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ids = np.unique(rng.integers(10 * N, size=N))
    named = pd.Series(ids.astype(str)) + "ü" if as_text else pd.Series(ids)
    frame = pd.DataFrame({"user_id": named, "n_ratings": rng.geometric(0.02, len(ids))})
    return frame.sort_values("user_id", ignore_index=True)


def written(folder: Path, name: str, frame: pd.DataFrame, row_group_size: int = 50_000) -> Path:
    path = folder / name
    frame.astype({"n_ratings": "int32"}).to_parquet(path, row_group_size=row_group_size)
    assert pq.ParquetFile(path).metadata.num_row_groups > 3
    return path


@pytest.mark.parametrize("as_text", [False, True])
def test_users_at_places_by_number_of_ratings_then_by_id(tmp_path: Path, as_text: bool):
    frame = users(0, as_text)
    ordered = frame.sort_values(["n_ratings", "user_id"])["user_id"].tolist()
    places = [0, 1, len(frame) // 3, len(frame) // 2, len(frame) - 2, len(frame) - 1]
    found = users_at(written(tmp_path, "users.parquet", frame), places)
    assert found == [ordered[place] for place in places]


@pytest.mark.parametrize("as_text", [False, True])
def test_ids_that_only_one_table_has(tmp_path: Path, as_text: bool):
    now, before = users(0, as_text), users(1, as_text)
    first = written(tmp_path, "now.parquet", now)
    second = written(tmp_path, "before.parquet", before, 7_000)
    only_now = int((~now["user_id"].isin(before["user_id"])).sum())
    assert 0 < only_now < len(now)
    assert n_new(first, second, "user_id") == only_now
    assert n_new(first, first, "user_id") == 0
    few = tmp_path / "few.parquet"
    before.iloc[[-1]].to_parquet(few)
    assert n_new(few, first, "user_id") == int(before["user_id"].iloc[-1] not in {*now["user_id"]})


def test_a_table_that_cannot_be_read_is_named_so(tmp_path: Path):
    path = written(tmp_path, "users.parquet", users(0, as_text=False))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(parquet.UnreadableError):
        n_new(path, broken, "user_id")
