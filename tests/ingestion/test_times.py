"""Times: a file's unit is found from all of its values; what is not plausible is rejected."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.ingestion import macros, times
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import sql
from cofi_jobs.store.store import Store
from tests.support.ingestion import HEADER, drop, failure, first_night, ingest, refused, taken

NOW = datetime(2024, 6, 1, tzinfo=UTC)
LATEST = NOW.timestamp() + times.DAY
MOMENT = datetime(2021, 3, 4, 5, 6, 0, tzinfo=UTC)
SECOND = int(MOMENT.timestamp())


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with sql.connect(load_settings(), Path(tmp_path_factory.mktemp("times"))) as connection:
        macros.create(connection, load_settings())
        yield connection


def judged(
    database: duckdb.DuckDBPyConnection, unit: str | None, cell: str
) -> datetime | str | None:
    """The time of a cell in a file of times of a unit, or why it has none."""
    rule = times.rule(unit, LATEST)
    [(us, reason)] = database.execute(
        f"""
        SELECT epoch_us(time), CASE WHEN time IS NULL THEN {rule.reason} END
        FROM (SELECT *, {rule.time} AS time FROM (
            SELECT $cell::VARCHAR AS timestamp, try_cast($cell AS DOUBLE) AS time_number))""",
        {"cell": cell},
    ).fetchall()
    return reason or datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


@pytest.mark.parametrize(
    ("unit", "cell", "expected"),
    [
        ("seconds", "978300760", datetime(2000, 12, 31, 22, 12, 40)),
        ("seconds", "978300760.25", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("milliseconds", "978300760250", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("microseconds", "978300760250000", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("nanoseconds", "978300760250000000", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("yyyymmdd", "20001231", datetime(2000, 12, 31)),
        ("yyyymmdd", "20001231.0", datetime(2000, 12, 31)),
        ("yyyymmddhhmm", "200012312212", datetime(2000, 12, 31, 22, 12)),
        ("yyyymmddhhmmss", "20001231221240", datetime(2000, 12, 31, 22, 12, 40)),
        ("spreadsheet_days", "36891.5", datetime(2000, 12, 31, 12)),
        ("spreadsheet_days", "29221", datetime(1980, 1, 1)),
        ("order", "0", datetime(1970, 1, 1)),
        ("order", "7", datetime(1970, 1, 1, 0, 0, 7)),
        ("order", "20001231", datetime(1970, 1, 1) + timedelta(seconds=20001231)),
        (None, "2000-12-31", datetime(2000, 12, 31)),
        ("order", " 2000-12-31 22:12:40 ", datetime(2000, 12, 31, 22, 12, 40)),
        ("seconds", "2000-12-31T22:12:40Z", datetime(2000, 12, 31, 22, 12, 40)),
        ("seconds", "2000-12-31T23:12:40+01:00", datetime(2000, 12, 31, 22, 12, 40)),
        ("seconds", "315532800", datetime(1980, 1, 1)),
        ("seconds", "315532799", "timestamp is before 1980"),
        ("seconds", "0", "timestamp is before 1980"),
        ("seconds", "-1", "timestamp is before 1980"),
        ("seconds", "978300760250", "timestamp is in the future"),
        ("milliseconds", "978300760", "timestamp is before 1980"),
        (None, "2024-06-01T23:00:00Z", datetime(2024, 6, 1, 23)),
        (None, "2024-06-02T00:00:01Z", "timestamp is in the future"),
        (None, "9999-12-31", "timestamp is in the future"),
        (None, "1979-12-31", "timestamp is before 1980"),
        (None, "1", "timestamp is before 1980"),
        ("yyyymmdd", "20000230", "timestamp is unreadable"),
        ("yyyymmdd", "20001231.5", "timestamp is unreadable"),
        ("yyyymmdd", "20240603", "timestamp is in the future"),
        ("order", "-1", "timestamp is no small whole number like the others"),
        ("order", "1600000000", "timestamp is no small whole number like the others"),
        ("order", "1.5", "timestamp is unreadable"),
        *(
            ("seconds", cell, "timestamp is unreadable")
            for cell in ("2000-02-30", "1e30", "nan", "inf", "-infinity", "infinity", "yesterday")
        ),
    ],
)
def test_what_a_cell_means(
    unit: str | None,
    cell: str,
    expected: datetime | str,
    database: duckdb.DuckDBPyConnection,
) -> None:
    if isinstance(expected, datetime):
        expected = expected.replace(tzinfo=UTC)
    assert judged(database, unit, cell) == expected


@pytest.mark.parametrize(
    ("kinds", "unit"),
    [
        ({"seconds": 5}, "seconds"),
        ({"seconds": 5, "milliseconds": 6}, "milliseconds"),
        ({"seconds": 5, "order": 5}, "seconds"),
        ({"seconds": 5, "zero": 9}, "seconds"),
        ({"order": 5, "yyyymmdd": 2, "spreadsheet_days": 2}, "order"),
        ({"order": 2, "iso": 5}, "seconds"),
        ({"milliseconds": 2, "iso": 5}, "milliseconds"),
        ({"zero": 3}, "order"),
        ({"zero": 1, "iso": 3}, None),
        ({"iso": 3}, None),
        ({"implausible": 3, "unreadable": 2}, None),
        ({}, None),
    ],
)
def test_the_unit_is_that_of_most_numbers(kinds: dict[str, int], unit: str | None) -> None:
    assert times.choose_unit(kinds) == unit


WAYS = {
    "seconds": lambda second: str(second),
    "milliseconds": lambda second: str(second * 1000),
    "microseconds": lambda second: str(second * 10**6),
    "nanoseconds": lambda second: str(second * 10**9),
    "yyyymmddhhmmss": lambda second: f"{datetime.fromtimestamp(second, UTC):%Y%m%d%H%M%S}",
}


@pytest.mark.slow
@given(
    st.sampled_from(sorted(WAYS)),
    st.lists(st.integers(315_532_800, int(LATEST)), min_size=1, max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_times_come_back_whatever_their_unit(
    database: duckdb.DuckDBPyConnection, way: str, seconds: list[int]
) -> None:
    cells = [WAYS[way](second) for second in seconds]
    kinds = Counter(
        name
        for cell in cells
        for name, unit in times.units(LATEST).items()
        if unit.low <= float(cell) <= unit.high
    )
    assert times.choose_unit(kinds) == way
    assert [judged(database, way, cell) for cell in cells] == [
        datetime.fromtimestamp(second, UTC) for second in seconds
    ]


@given(st.integers(1, int(3e18)))
@settings(max_examples=60, deadline=None)
def test_no_number_is_plausible_in_two_units_but_as_an_order(number: int) -> None:
    plausible = {n for n, unit in times.units(LATEST).items() if unit.low <= number <= unit.high}
    assert len(plausible - {"order"}) <= 1


def rated(*cells: str) -> str:
    return HEADER + "".join(
        f"{user},10,{1 + user % 5},{cell}\n" for user, cell in enumerate(cells, start=1)
    )


@pytest.mark.parametrize(
    ("cells", "unit", "seconds"),
    [
        (["1614834360", "1614834361"], "seconds", [SECOND, SECOND + 1]),
        (["1614834360000", "1614834361000"], "milliseconds", [SECOND, SECOND + 1]),
        (["20210304", "20210305"], "yyyymmdd", [1614816000, 1614902400]),
        (["20210304050600", "20210304050601"], "yyyymmddhhmmss", [SECOND, SECOND + 1]),
        (["1", "2", "3"], "order", [1, 2, 3]),
        (["1.0", "2.0", ""], "order", [1, 2, None]),
        (["2021-03-04T05:06:00Z", "2021-03-04T05:06:01Z"], None, [SECOND, SECOND + 1]),
        (["2021-03-04T05:06:00Z", "1614834361"], "seconds", [SECOND, SECOND + 1]),
        (["1614834360", ""], "seconds", [SECOND, None]),
        (["", "  "], None, [None, None]),
    ],
)
def test_the_unit_of_a_file_is_in_the_outcome(
    cells: list[str], unit: str | None, seconds: list[int | None], store: Store
) -> None:
    drop(store, "a.csv", rated(*cells))
    outcome = ingest(store)
    assert [file["time_unit"] for file in outcome["files"]] == [unit]
    assert [row[3] for row in taken(store)] == seconds
    assert refused(store) == []


def test_an_order_is_named_in_the_log(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    drop(store, "a.csv", rated("1", "2", "3"))
    with caplog.at_level("INFO"):
        ingest(store)
    assert re.search(r"a\.csv: the times are small whole numbers.* an order", caplog.text)


@pytest.mark.parametrize(
    ("cells", "n_bad", "example"),
    [
        (["45292", "45293", "45300.5"], "3 of 3", "45292, which looks like a day of a spreadsheet"),
        (["9999-12-31", "9999-12-31", "2021-03-04"], "2 of 3", "9999-12-31"),
        (["-5", "-6", "7"], "2 of 3", "-5"),
        (["63000000000", "63000001000"], "2 of 2", "63000000000"),  # milliseconds of 1971
        (["1969-01-01", "0001-01-01"], "2 of 2", "1969-01-01"),
        (["133000000000000000"], "1 of 1", "133000000000000000"),  # of Windows
        (["0", "0", "0", "1614834360"], "3 of 4", "0"),
        (["99999999999"], "1 of 1", "99999999999"),
    ],
)
def test_a_column_of_which_most_times_are_implausible_is_an_error(
    cells: list[str], n_bad: str, example: str, store: Store
) -> None:
    first_night(store)
    path = drop(store, "a.csv", rated(*cells))
    assert failure(store).startswith(
        f"{path}: found {n_bad} times in the column 'timestamp' to be implausible, "
        f"such as {example}; expected times from 1980"
    )


@pytest.mark.parametrize(
    ("unit", "seconds"), [("order", [45292, 45293]), ("spreadsheet_days", [1704067200, 1704153600])]
)
def test_the_unit_can_be_set(unit: str, seconds: list[int], store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", rated("45292", "45293"))
    outcome = ingest(store, "night-1", f"time_unit={unit}")
    assert outcome["files"][0]["time_unit"] == unit
    assert [row[3] for row in taken(store)] == seconds


def test_all_values_count_not_only_the_first(store: Store) -> None:
    drop(store, "a.csv", rated(*map(str, range(1, 1501)), *map(str, range(10**9, 10**9 + 2000))))
    outcome = ingest(store)
    assert outcome["files"][0]["time_unit"] == "seconds"
    assert outcome["reasons"] == {"timestamp is before 1980": 1500}


def test_a_time_a_day_ahead_is_taken_and_a_later_one_is_not(store: Store) -> None:
    now = datetime.now(UTC)
    ahead, later = (f"{now + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (0.9, 2))
    drop(store, "a.csv", rated(ahead, ahead, later))
    ingest(store)
    assert [reason for reason, _ in refused(store)] == [f"timestamp is in the future: {later}"]
