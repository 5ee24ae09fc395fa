"""Masks of a column of ids, whatever its type."""

import pyarrow as pa
import pytest

from cofi_jobs.erasure.matching import hashes_among, ids_among, path_is_of, rejected_rows
from cofi_jobs.store.erasure_key import hash_of


@pytest.mark.parametrize(
    "ids", [pa.array([17, 42, 17]), pa.array(["17", "42", "17"]), pa.array([], pa.int64())]
)
def test_ids_are_found_by_their_text_and_by_its_hash(ids: pa.Array):
    expected = [str(each) == "17" for each in ids]
    assert ids_among(["17", "3"])(ids).tolist() == expected
    assert hashes_among({hash_of("17", b"key")}, b"key")(ids).tolist() == expected
    assert not hashes_among({hash_of("17", b"key")}, b"other")(ids).any()


def test_a_path_names_the_user_whose_folder_it_goes_through():
    assert path_is_of("recommendations/user_id=a%2Fb/part-0.parquet", ids_among(["a/b"]))
    assert not path_is_of("recommendations/item_id=17/17.parquet", ids_among(["17"]))


def test_rejected_rows_are_the_users_or_name_them_where_the_user_is_unknown():
    rows = pa.table(
        {
            "user_id": ["17", "42", None, None],
            "reason": ["bad", "17 is bad", "bad", "17 is bad"],
            "raw": ["17,1", "42,17", "17,1", None],
        }
    )
    assert rejected_rows(rows, ["17"]).to_pylist() == [True, False, True, True]
    without = rows.drop_columns(["user_id"])
    assert rejected_rows(without, ["17"]).to_pylist() == [True] * 4
