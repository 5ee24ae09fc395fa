"""Users' ids are found in columns of every type, and not in what only looks like one."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.erasure.columns import hold_users

LONG = 1234567890123456789
STRUCT = pa.struct({"item_id": pa.int64(), "user": pa.int64()})
FOUND: dict[str, tuple[pa.DataType, list[Any], str]] = {
    "int64": (pa.int64(), [1, LONG], str(LONG)),
    "the least int64": (pa.int64(), [-(2**63)], str(-(2**63))),
    "uint64": (pa.uint64(), [2**64 - 1], str(2**64 - 1)),
    "int8": (pa.int8(), [None, 17], "17"),
    "double": (pa.float64(), [None, 1003.0], "1003"),
    "long double": (pa.float64(), [float(LONG)], str(LONG)),
    "half": (pa.float16(), [17.0], "17"),
    "decimal": (pa.decimal128(30, 2), [Decimal(LONG)], str(LONG)),
    "text": (pa.string(), ["by anna, 2020"], "anna"),
    "large text": (pa.large_string(), ["anna"], "anna"),
    "text view": (pa.string_view(), ["anna"], "anna"),
    "bytes": (pa.binary(), [b"\xff", b"\xff,1003"], "1003"),
    "large bytes": (pa.large_binary(), [b"anna"], "anna"),
    "4 bytes": (pa.binary(4), [b"anna"], "anna"),
    "accents": (pa.binary(), ["von zoë".encode()], "zoë"),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), ["bert", "anna"], "anna"),
    "dictionary of numbers": (pa.dictionary(pa.int32(), pa.int64()), [3, 1003], "1003"),
    "list": (pa.list_(pa.int64()), [[], None, [2, 1003]], "1003"),
    "list of 1": (pa.list_(pa.string(), 1), [["anna"]], "anna"),
    "struct": (STRUCT, [None, {"item_id": 1, "user": 1003}], "1003"),
    "list of structs": (pa.list_(STRUCT), [[{"item_id": 1, "user": 1003}]], "1003"),
    "key of a map": (pa.map_(pa.string(), pa.int64()), [[("anna", 1)]], "anna"),
    "item of a map": (pa.map_(pa.string(), pa.int64()), [[("x", 1003)]], "1003"),
}
OTHERS: dict[str, tuple[pa.DataType, list[Any], str]] = {
    "written otherwise": (pa.int64(), [1003], "01003"),
    "out of range": (pa.int8(), [17], str(2**8 + 17)),
    "a fraction": (pa.float64(), [17.5, None], "17"),
    "a part of a word": (pa.binary(), [b"10030"], "1003"),
    "an item": (STRUCT, [{"item_id": 1003, "user": 1}], "1003"),
    "a time": (pa.timestamp("us"), [1003], "1003"),
    "a truth value": (pa.bool_(), [True], "1"),
    "nothing": (pa.null(), [None], "None"),
}


def written(folder: Path, name: str, kind: pa.DataType, values: list[Any]) -> Path:
    pq.write_table(pa.table({name: pa.array(values, kind)}), folder / "a.parquet", row_group_size=1)
    return folder / "a.parquet"


@pytest.mark.parametrize("case", FOUND)
@pytest.mark.parametrize("name", ["customer", "user_id"])
def test_an_id_is_found_in_a_column_of_any_type(tmp_path: Path, name: str, case: str):
    kind, values, user = FOUND[case]
    path = written(tmp_path, name, kind, values)
    stands_alone = case not in ("text", "bytes", "accents")
    assert hold_users(path, ["nobody", user]) is (stands_alone or name == "customer")
    assert not hold_users(path, ["nobody", "77"])


@pytest.mark.parametrize("case", OTHERS)
def test_what_looks_like_an_id_is_none(tmp_path: Path, case: str):
    kind, values, user = OTHERS[case]
    assert not hold_users(written(tmp_path, "customer", kind, values), [user])


def test_scores_in_tables_of_the_store_are_no_ids(tmp_path: Path):
    path = written(tmp_path, "score", pa.list_(pa.float32(), 1), [[17.0]])
    assert hold_users(path, ["17"])
    assert not hold_users(path, ["17"], fractions=False)
    path = written(tmp_path, "user_id", pa.float32(), [17.0])
    assert hold_users(path, ["17"], fractions=False)


def test_row_groups_out_of_bounds_hold_no_user(tmp_path: Path):
    path = written(tmp_path, "user_id", pa.int64(), [3, None, LONG])
    assert all(hold_users(path, [user]) for user in ("3", str(LONG)))
    assert not hold_users(path, ["4", "anna"])
