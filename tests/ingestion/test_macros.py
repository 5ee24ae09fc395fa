"""Macros: a cell as a time, a rating and a number as an id. Ids: tests/core/test_ids.py."""

from collections.abc import Iterator
from datetime import UTC, datetime
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
        macros.create(connection)
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


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("0", datetime(1970, 1, 1)),
        ("978300760", datetime(2000, 12, 31, 22, 12, 40)),
        ("978300760.25", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("-86400", datetime(1969, 12, 31)),
        ("99999999999", datetime(5138, 11, 16, 9, 46, 39)),
        ("100000000000", datetime(1973, 3, 3, 9, 46, 40)),
        ("978300760250", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("978300760250000", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("978300760250000000", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("2000-12-31", datetime(2000, 12, 31)),
        (" 2000-12-31 22:12:40 ", datetime(2000, 12, 31, 22, 12, 40)),
        ("2000-12-31T22:12:40Z", datetime(2000, 12, 31, 22, 12, 40)),
        ("2000-12-31T23:12:40+01:00", datetime(2000, 12, 31, 22, 12, 40)),
        ("2000-02-30", None),
        ("1e30", None),
        ("nan", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_a_number_or_an_iso_time(
    cell: str | None, time: datetime | None, database: duckdb.DuckDBPyConnection
) -> None:
    expression = "epoch_us(rating_time(cell, try_cast(cell AS DOUBLE)))"
    expected = time and int(time.replace(tzinfo=UTC).timestamp() * 1_000_000)
    assert meaning(database, expression, cell) == expected


@pytest.mark.parametrize("cell", ["infinity", "inf"])
def test_an_endless_time_is_not_finite(cell: str, database: duckdb.DuckDBPyConnection) -> None:
    expression = "coalesce(isfinite(rating_time(cell, try_cast(cell AS DOUBLE))), false)"
    assert meaning(database, expression, cell) is False
