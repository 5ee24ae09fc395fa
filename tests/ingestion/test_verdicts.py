"""Verdicts: each row is taken, withdrawn or rejected with its reason and text."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.data import settle
from tests.support.ingestion import (
    GOOD,
    HEADER,
    counts,
    drop,
    first_night,
    ingest,
    refused,
    rows,
    taken,
)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("978300760", datetime(2000, 12, 31, 22, 12, 40)),
        ("978300760.25", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("0", datetime(1970, 1, 1)),
        ("978300760250", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("978300760250000", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("978300760250000000", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("2000-12-31", datetime(2000, 12, 31)),
        ("2000-12-31 22:12:40", datetime(2000, 12, 31, 22, 12, 40)),
        ("2000-12-31T22:12:40", datetime(2000, 12, 31, 22, 12, 40)),
        ("2000-12-31T22:12:40Z", datetime(2000, 12, 31, 22, 12, 40)),
        ("2000-12-31T22:12:40.250Z", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("2000-12-31T23:12:40+01:00", datetime(2000, 12, 31, 22, 12, 40)),
        ("2000-12-31 17:42:40-0430", datetime(2000, 12, 31, 22, 12, 40)),
        ("2000-12-31T22:12:40.123456789Z", datetime(2000, 12, 31, 22, 12, 40, 123_456)),
    ],
)
def test_times_are_seconds_since_1970_or_iso_and_utc_without_a_zone(
    text: str, time: datetime, store: Store, monkeypatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # where the machine stands does not count
    drop(store, "a.csv", HEADER + f"1,10,4,{text}\n2,10,5,{text}\n")
    ingest(store)
    assert [row["timestamp"] for row in rows(store, store.ratings("night-1"))] == [
        time.replace(tzinfo=UTC)
    ] * 2


@pytest.mark.parametrize(
    "times",
    [
        pd.to_datetime(["2000-12-31 22:12:40", "2000-12-31 22:12:41"]).as_unit("ns"),
        pd.to_datetime(["2000-12-31 22:12:40", "2000-12-31 22:12:41"])
        .as_unit("us")
        .tz_localize("UTC"),
        pd.to_datetime(["2001-01-01 07:12:40", "2001-01-01 07:12:41"])
        .as_unit("ms")
        .tz_localize("Asia/Tokyo"),
        [978300760, 978300761],
        [978300760.0, 978300761.0],
        ["978300760", "2000-12-31T22:12:41Z"],
    ],
)
def test_parquet_times_of_any_type_are_read(times: Any, store: Store) -> None:
    frame = pd.DataFrame(
        {"user_id": [1, 2], "item_id": [10, 20], "rating": [1, 5], "timestamp": times}
    )
    frame.to_parquet(store.landing / "a.parquet")
    settle(store.landing / "a.parquet")
    ingest(store)
    assert taken(store) == [(1, 10, 1.0, 978300760), (2, 20, 5.0, 978300761)]


def test_ratings_without_times_are_taken(store: Store) -> None:
    drop(store, "a.csv", "userId,movieId,rating\n1,10,4\n2,20,1\n")
    ingest(store)
    assert taken(store) == [(1, 10, 4.0, None), (2, 20, 1.0, None)]


BAD_ROWS = {
    ",10,3,1000000000": "user_id is missing",
    "  ,10,3,1000000000": "user_id is missing",
    "1,,3,1000000000": "item_id is missing",
    "1,10,,1000000000": "rating is missing",
    "1,10,good,1000000000": "rating is not a number: good",
    '1,10,"4,500",1000000000': "rating is not a number: 4,500",
    "1,10,nan,1000000000": "rating is missing",
    "NULL,10,3,1000000000": "user_id is missing",
    " n/a ,10,3,1000000000": "user_id is missing",
    "1,None,3,1000000000": "item_id is missing",
    "1,\\N,3,1000000000": "item_id is missing",
    "1,10,inf,1000000000": "rating is not a number: inf",
    "1,10,1e99,1000000000": "rating is not a number: 1e99",
    "1,10,5.5,1000000000": "rating is outside the scale 1 to 5: 5.5",
    "1,10,0,1000000000": "rating is outside the scale 1 to 5: 0.0",
    "1,10,-3,1000000000": "rating is outside the scale 1 to 5: -3.0",
    "1,10,3,yesterday": "timestamp is unreadable: yesterday",
    "1,10,3,2000-02-30": "timestamp is unreadable: 2000-02-30",
    "1,10,3,infinity": "timestamp is unreadable: infinity",
    "1,10,3,inf": "timestamp is unreadable: inf",
    "1,10,3,1e30": "timestamp is unreadable: 1e30",
    "1,10,3,0": "timestamp is before 1980: 0",
    "1,10,3,-86400": "timestamp is before 1980: -86400",
    "1,10,3,1979-12-31": "timestamp is before 1980: 1979-12-31",
    "1,10,3,978300760250": "timestamp is in the future: 978300760250",
    "1,10,3,9999-12-31": "timestamp is in the future: 9999-12-31",
    "anna,10,3,1000000000": "user_id is not an integer like the others: anna",
    "007,10,3,1000000000": "user_id is not an integer like the others: 007",
    "1,10.5,3,1000000000": "item_id is not an integer like the others: 10.5",
    "1,9223372036854775808,3,1000000000": (
        "item_id is not an integer like the others: 9223372036854775808"
    ),
    "1,10": "line is malformed: missing columns",
    "1,10,3,1000000000,more": "line is malformed: too many columns",
    '"1"x,10,3,1000000000': "line is malformed: unquoted value",
}


@pytest.mark.parametrize("bad", BAD_ROWS)
def test_a_bad_row_is_refused_with_its_reason_and_text_and_the_others_are_taken(
    bad: str, store: Store
) -> None:
    first_night(store)
    drop(store, "a.csv", f"{HEADER}4,10,3,1000000004\n{bad}\n5,10,3,1000000005\n")
    outcome = ingest(store)
    assert refused(store) == [(BAD_ROWS[bad], bad.replace('"4,500"', "4,500"))]
    assert taken(store) == [(4, 10, 3.0, 1000000004), (5, 10, 3.0, 1000000005)]
    assert counts(outcome) == (3, 2, 1)
    assert outcome["reasons"] == {BAD_ROWS[bad].partition(":")[0]: 1}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"userId": null, "movieId": 10, "rating": 3}', "user_id is missing"),
        ('{"movieId": 10, "rating": 3}', "user_id is missing"),
        ('{"userId": 1, "movieId": 10, "rating": "x"}', "rating is not a number: x"),
        ('{"userId": 1, "movieId": 10, "rating": 3', "line is not a JSON object"),
        ("[1, 10, 3]", "line is not a JSON object"),
    ],
)
def test_a_bad_line_of_json_is_refused_with_its_reason_and_text(
    bad: str, reason: str, store: Store
) -> None:
    first_night(store)
    drop(store, "a.jsonl", f'{{"userId": 4, "movieId": 10, "rating": 3}}\n{bad}\n')
    assert counts(ingest(store)) == (2, 1, 1)
    assert refused(store) == [(reason, bad)]


@pytest.mark.slow
def test_a_bad_row_of_parquet_is_refused_with_its_reason_and_text(store: Store) -> None:
    first_night(store)
    ids = pa.array([4, None, 5])
    table = {
        "user_id": ids,
        "item_id": pa.array([10, 10, None]),
        "rating": pa.array([3.0, 3.0, 3.0]),
    }
    pq.write_table(pa.table(table), store.landing / "a.parquet")
    assert counts(ingest(store)) == (3, 1, 2)
    assert refused(store) == [("user_id is missing", ",10,3.0"), ("item_id is missing", "5,,3.0")]


def test_a_refused_row_says_which_file_and_row_it_was(store: Store) -> None:
    drop(store, "a.csv", GOOD)
    drop(store, "b.csv", GOOD + "7,10,x,1000000003\n")
    ingest(store)
    assert rows(store, store.rejected("night-1")) == [
        {
            "file": "b.csv",
            "row": 4,
            "reason": "rating is not a number: x",
            "raw": "7,10,x,1000000003",
            "user_id": "7",
        }
    ]


def test_the_reasons_of_a_night_are_counted_over_all_files(store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", HEADER + "4,10,3,1\n5,10,3,1\n6,10,3,1\n4,10,x,1\n4,10,y,1\n,10,3,1\n")
    drop(store, "b.csv", HEADER + "4,20,z,1\n4,20,3,1\n5,20,3,1\n")
    outcome = ingest(store)
    assert outcome["reasons"] == {"rating is not a number": 3, "user_id is missing": 1}
    assert counts(outcome) == (9, 5, 4)
    assert [counts(file) for file in outcome["files"]] == [(6, 3, 3), (3, 2, 1)]


@pytest.mark.slow
@given(
    st.lists(st.sampled_from([*BAD_ROWS, "4,10,3,1000000004", "5,20,4.5,2001-01-01"]), max_size=40)
)
@example([])
@settings(max_examples=7, deadline=None)
def test_each_row_is_either_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    store = Store(tmp_path_factory.mktemp("store")).create()
    first_night(store)
    lines = [*lines, *["4,10,3,1000000004"] * len(lines)]  # else most times may be implausible
    drop(store, "a.csv", HEADER + "".join(line + "\n" for line in lines))
    n_bad = sum(line in BAD_ROWS for line in lines)
    assert counts(ingest(store)) == (len(lines), len(lines) - n_bad, n_bad)
    assert (len(taken(store)), len(refused(store))) == (len(lines) - n_bad, n_bad)


def test_one_stray_quote_on_the_last_line_is_a_bad_row(store: Store) -> None:
    drop(store, "a.csv", GOOD + '"4,10,3,1\n')
    assert counts(ingest(store)) == (4, 3, 1)


def test_a_rating_that_no_scale_has_is_refused(store: Store) -> None:
    drop(store, "a.csv", "userId,movieId,rating\n1,10,4\n1,11,2\n1,12,1e15\n")
    outcome = run_task("ingest", store, load_settings(), "night-1")
    assert outcome["scale"] == [2, 4]
    assert refused(store) == [("rating is too large: 1e15", "1,12,1e15")]


def test_rows_say_what_they_do_in_words_or_letters(store: Store) -> None:
    first_night(store)
    words = ["", "insert", "UPSERT", "update", "create", "read", "i", "c", "r", "u", "delete", "D"]
    lines = [
        f"{number},10,{'' if op.lower()[:1] == 'd' else 3},7,{op}"
        for number, op in enumerate(words)
    ]
    drop(
        store,
        "a.csv",
        "userId,movieId,rating,timestamp,op\n"
        + "\n".join([*lines, "5,10,3,7,truncate", "5,,,7,d"]),
    )
    outcome = ingest(store)
    assert [(row[0], row[2]) for row in taken(store)] == [
        *((n, 3.0) for n in range(10)),
        (10, None),
        (11, None),
    ]
    assert [reason for reason, _ in refused(store)] == [
        "op is unknown: truncate",
        "item_id is missing",
    ]
    assert (counts(outcome), outcome["rows_withdrawn"]) == ((14, 12, 2), 2)


def test_a_withdrawal_in_json_and_parquet(store: Store) -> None:
    first_night(store)
    drop(
        store,
        "a.jsonl",
        '{"user": 1, "item": 10, "op": "delete", "time": 9}\n'
        '{"user": 2, "item": 10, "rating": 2, "time": 9}\n',
    )
    frame = pd.DataFrame({"user": [3], "item": [10], "rating": [None], "ts": [9], "op": ["d"]})
    frame.astype({"rating": float}).to_parquet(store.landing / "b.parquet")
    settle(store.landing / "b.parquet")
    ingest(store)
    assert taken(store) == [(1, 10, None, 9), (2, 10, 2.0, 9), (3, 10, None, 9)]


@pytest.mark.parametrize("text", ["4,5", "+4,5", "4,50"])
def test_a_decimal_comma_is_a_decimal_point(text: str, store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", f"userId;movieId;rating\n1;10;{text}\n")
    drop(store, "b.csv", f'userId,movieId,rating\n2,10,"{text}"\n')
    ingest(store)
    assert [row[2] for row in taken(store)] == [4.5, 4.5]
