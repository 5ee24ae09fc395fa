"""Parquet files: columns of any type are text."""

import decimal
import math
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.store.store import Store
from tests.support.data import settle
from tests.support.ingestion import failure, first_night, ingest, refused, taken
from tests.support.rating_files import read, refusal


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


def write_ids(path: Path, ids: pa.Array) -> Path:
    rows = len(ids)
    table = {"user_id": ids, "item_id": pa.array([1] * rows), "rating": pa.array([3] * rows)}
    pq.write_table(pa.table(table), path)
    return settle(path)


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        (pa.array([1, 255], pa.uint8()), ["1", "255"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([decimal.Decimal("17.00"), decimal.Decimal("10.50")]), ["17", "10.5"]),
        (pa.array([decimal.Decimal(10)], pa.decimal128(30, 0)), ["10"]),
        (pa.array([17.0, math.nan, None, 1.5]), ["17", None, None, "1.5"]),
        (pa.array([1e15, 2.0**53]), ["1000000000000000", "9007199254740992"]),
        (pa.array(["Zoë".encode(), b"\xff"]), ["Zoë", "\\xFF"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array(["007", None], pa.string_view()), ["007", None]),
        (pa.array([None, None], pa.null()), [None, None]),
    ],
)
def test_ids_of_other_types_are_their_text(
    ids: pa.Array, texts: list[str | None], tmp_path: Path
) -> None:
    path = write_ids(tmp_path / "a.parquet", ids)
    assert [row[0] for row in read(path)] == texts


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (pa.array([True]), "BOOLEAN"),
        (pa.array([[1]]), "BIGINT[]"),
        (pa.array([{"id": 1}]), "STRUCT(id BIGINT)"),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "MAP(VARCHAR, BIGINT)"),
    ],
)
def test_a_type_that_no_id_has_is_an_error(ids: pa.Array, kind: str, tmp_path: Path) -> None:
    said = refusal(write_ids(tmp_path / "a.parquet", ids))
    assert f"found user_id in the column 'user_id' of type {kind}, expected numbers" in said


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        (pa.array([1.0, 76561198012345678.0]), "76561198012345680"),
        (pa.array([1.0, 16777219.0], pa.float32()), "16777220.0"),
        (pa.array([1.0, 1e300]), "1e+300"),
        (pa.array([1.0, math.inf]), "inf"),
    ],
)
def test_an_id_that_a_float_has_rounded_is_rejected(ids: pa.Array, text: str, store: Store) -> None:
    first_night(store)
    write_ids(store.landing / "a.parquet", ids)
    ingest(store)
    assert taken(store) == [(1, 1, 3.0, None)]
    assert [reason for reason, _ in refused(store)] == [f"user_id is rounded: {text}"]


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["user", "", "item", "rating"], [("1", "3", "4", None)]),
        (['us"er', "x", "item", "rating"], [("1", "3", "4", None)]),
        (["user", "x", "item", "rating"], [("1", "3", "4", None)]),
        (["user.id", "a b", "Item ID", "RATING"], [("1", "3", "4", None)]),
    ],
)
def test_columns_may_have_odd_names(
    names: list[str], rows: list[tuple[str | None, ...]], tmp_path: Path
) -> None:
    pq.write_table(pa.table([[1], [2], [3], [4]], names=names), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == rows


def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    table = pa.table([[1], [2], [3], [4]], names=["user", "User", "item", "rating"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert "'user', 'User (column 2)', each of which may be user_id" in refusal(
        tmp_path / "a.parquet"
    )


def test_a_file_that_was_cut_is_one_clear_error(store: Store) -> None:
    path = write_ids(store.landing / "cut.parquet", pa.array([1, 2]))
    path.write_bytes(path.read_bytes()[:-20])
    settle(path)
    assert re.search(r"cut\.parquet cannot be read as ratings: .*No magic bytes", failure(store))


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_nan_in_a_column_of_floats_is_a_missing_id(kind: pa.DataType, store: Store) -> None:
    first_night(store)
    write_ids(store.landing / "a.parquet", pa.array([7.0, math.nan], kind))
    ingest(store)
    assert [row[0] for row in taken(store)] == [7]
    assert [reason for reason, _ in refused(store)] == ["user_id is missing"]
