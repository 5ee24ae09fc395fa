"""Macros: a cell as a rating and a number as an id. Ids: tests/core/test_ids.py."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from cofi_jobs.ingestion import macros
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import sql

INFINITE = float("inf")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with sql.connect(load_settings(), Path(tmp_path_factory.mktemp("macros"))) as connection:
        macros.create(connection, load_settings())
        yield connection


def meaning(database: duckdb.DuckDBPyConnection, expression: str, cell: str | None) -> object:
    """An expression over a row with this cell."""
    query = f"SELECT {expression} FROM (SELECT $cell::VARCHAR AS cell)"
    [(value,)] = database.execute(query, {"cell": cell}).fetchall()
    return value


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("17", 17),
        ("0", 0),
        ("-5", -5),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", None),
        ("007", None),
        ("-0", None),
        ("+7", None),
        (" 17", None),
        ("17\t", None),
        ("17.0", None),
        ("1e2", None),
        ("1_000", None),
        ("0x10", None),
        ("anna", None),
        ("", None),
        (None, None),
    ],
)
def test_an_id_is_a_number_only_if_it_is_written_as_one(
    cell: str | None, number: int | None, database: duckdb.DuckDBPyConnection
) -> None:
    expression = "integer_id(cell, try_cast(cell AS BIGINT))"
    assert meaning(database, expression, cell) == number


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("4", 4.0),
        ("4.5", 4.5),
        ("-1", -1.0),
        (" 4 ", 4.0),
        ("4e0", 4.0),
        ("4,5", 4.5),
        (" 4,5 ", 4.5),
        ("+4,50", 4.5),
        ("-4,5", -4.5),
        ("4,500", None),
        ("1,234,5", None),
        ("4,", None),
        (",5", None),
        ("inf", INFINITE),
        ("1e99", INFINITE),
        ("good", None),
        ("", None),
        (None, None),
    ],
)
def test_a_rating_may_have_a_decimal_comma(
    cell: str | None, value: float | None, database: duckdb.DuckDBPyConnection
) -> None:
    expression = "rating_value(cell, try_cast(cell AS FLOAT))"
    assert meaning(database, expression, cell) == value
