"""Parquet files: columns of any type are text."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.rating_files import read


@pytest.mark.parametrize("name", ["a.parquet", "a.PQ"])
@pytest.mark.parametrize(
    "ids", [pa.int32(), pa.int64(), pa.float64(), pa.string(), pa.large_string()]
)
def test_parquet_ids_of_any_type_give_the_same_text(
    name: str, ids: pa.DataType, tmp_path: Path
) -> None:
    numbers = pa.array([7, 8])
    columns = {
        "user_id": numbers.cast(ids),
        "item_id": pa.array(["42", "43"]),
        "rating": pa.array([3.5, 4.0]),
    }
    pq.write_table(pa.table(columns), tmp_path / name)
    assert read(tmp_path / name) == [("7", "42", "3.5", None), ("8", "43", "4.0", None)]
