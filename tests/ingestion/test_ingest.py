"""Ingest: each new file once, good rows into the batch, bad rows aside with a reason, nothing half-written."""

import gzip
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.errors import DataError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.data import random_ratings, settle
from tests.support.repository import ROOT

HEADER = "userId,movieId,rating,timestamp\n"
GOOD = HEADER + "1,10,4,1000000000\n2,20,1,1000000001\n3,10,5,1000000002\n"
GOOD_ROWS = [(1, 10, 4.0, 1000000000), (2, 20, 1.0, 1000000001), (3, 10, 5.0, 1000000002)]


def drop(store: Store, name: str, content: str | bytes) -> Path:
    path = store.landing / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return settle(path)


def ingest(
    store: Store, run_key: str = "night-1", *overrides: str, ratings: tuple[Path, ...] = ()
) -> dict[str, Any]:
    return run_task(
        "ingest", store, load_settings(["max_rejected=1", *overrides]), run_key, ratings=ratings
    )


def first_night(store: Store) -> None:
    """A store that knows integer ids and a scale of 1 to 5, with an empty landing folder."""
    path = drop(store, "first-night.csv", GOOD)
    ingest(store, "night-0")
    path.unlink()


def rows(store: Store, folder: Path) -> list[dict[str, Any]]:
    """The rows of a batch's folder, in order of arrival."""
    files = store.required_outcome(folder.name.removeprefix("batch="), "ingest")["files"]
    parts = [folder / file["part"] for file in files]
    return [
        row for part in parts if part.exists() for row in pq.ParquetFile(part).read().to_pylist()
    ]


def taken(store: Store, run_key: str = "night-1") -> list[tuple[Any, ...]]:
    """The rows of a batch in order of arrival, times in seconds since 1970."""
    return [
        (
            row["user_id"],
            row["item_id"],
            row["rating"],
            row["timestamp"] and row["timestamp"].timestamp(),
        )
        for row in rows(store, store.ratings(run_key))
    ]


def refused(store: Store, run_key: str = "night-1") -> list[tuple[str, str]]:
    return [(row["reason"], row["raw"]) for row in rows(store, store.rejected(run_key))]


def counts(outcome: dict[str, Any]) -> tuple[int, int, int]:
    return outcome["rows_read"], outcome["rows_taken"], outcome["rows_refused"]


def snapshot(store: Store) -> dict[str, bytes]:
    """Everything in the store that readers or later runs look at."""
    kept = (
        path
        for path in store.root.rglob("*")
        if path.is_file() and not path.name.startswith(".lock")
    )
    return {str(path): path.read_bytes() for path in kept if not path.name.endswith(".failed.json")}


def failure(
    store: Store, run_key: str = "night-1", overrides: tuple[str, ...] = (), **inputs: Any
) -> str:
    """The message of an ingest that fails. Such an ingest leaves the store as it was."""
    before = snapshot(store)
    with pytest.raises(DataError) as caught:
        ingest(store, run_key, *overrides, **inputs)
    assert snapshot(store) == before
    assert not list(store.root.rglob(".tmp-*"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- reading


def as_dat(frame: pd.DataFrame) -> bytes:
    return "".join(
        "::".join(map(str, row)) + "\n" for row in frame.itertuples(index=False)
    ).encode()


FORMATS = {
    "ratings.csv": lambda frame: frame.to_csv(index=False).encode(),
    "ratings.tsv": lambda frame: frame.to_csv(index=False, sep="\t").encode(),
    "ratings.csv.gz": lambda frame: gzip.compress(frame.to_csv(index=False).encode()),
    "ratings.jsonl": lambda frame: frame.to_json(orient="records", lines=True).encode(),
    "ratings.ndjson.gz": lambda frame: gzip.compress(
        frame.to_json(orient="records", lines=True).encode()
    ),
    "ratings.parquet": lambda frame: frame.to_parquet(index=False),
    "u.data": lambda frame: frame.to_csv(index=False, header=False, sep="\t").encode(),
    "ratings.dat": as_dat,
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_ratings_in_the_order_of_the_file(
    name: str, store: Store
) -> None:
    frame = random_ratings()
    drop(store, name, FORMATS[name](frame))
    assert counts(ingest(store)) == (len(frame), len(frame), 0)
    assert taken(store) == list(frame.itertuples(index=False, name=None))
    assert not refused(store)


def test_a_batch_has_the_types_that_readers_rely_on(store: Store) -> None:
    drop(store, "a.csv", GOOD.replace("\n1,", "\nanna,"))
    ingest(store)
    [part] = store.ratings("night-1").iterdir()
    schema = pq.read_schema(part)
    assert schema.names == ["user_id", "item_id", "rating", "timestamp"]
    assert schema.types == [pa.string(), pa.int64(), pa.float32(), pa.timestamp("us", tz="UTC")]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("978300760", datetime(2000, 12, 31, 22, 12, 40)),
        ("978300760.25", datetime(2000, 12, 31, 22, 12, 40, 250_000)),
        ("0", datetime(1970, 1, 1)),
        ("-86400", datetime(1969, 12, 31)),
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
    ingest(store)
    assert taken(store) == [(1, 10, 1.0, 978300760), (2, 20, 5.0, 978300761)]


def test_ratings_without_times_are_taken(store: Store) -> None:
    drop(store, "a.csv", "userId,movieId,rating\n1,10,4\n2,20,1\n")
    ingest(store)
    assert taken(store) == [(1, 10, 4.0, None), (2, 20, 1.0, None)]


def test_files_given_by_path_are_taken_beside_those_of_the_landing_folder(
    store: Store, tmp_path: Path
) -> None:
    drop(store, "b.csv", GOOD)
    elsewhere = tmp_path / "a.csv"
    elsewhere.write_text(HEADER + "9,90,2,1000000009\n")
    outcome = ingest(store, ratings=(elsewhere, store.landing / "b.csv"))
    assert taken(store) == [(9, 90, 2.0, 1000000009), *GOOD_ROWS]
    assert [(file["name"], file["rows_taken"]) for file in outcome["files"]] == [
        ("a.csv", 1),
        ("b.csv", 3),
    ]


def test_files_that_are_not_there_for_good_are_left(store: Store) -> None:
    for name in (".hidden.csv", "_SUCCESS", "b.csv.tmp", "c.csv.part"):
        drop(store, name, "half a li")
    drop(store, "a.csv", GOOD)
    assert len(ingest(store)["files"]) == 1
    assert taken(store) == GOOD_ROWS


# ---- bad rows

BAD_ROWS = {
    ",10,3,1000000000": "user_id is missing",
    "  ,10,3,1000000000": "user_id is missing",
    "1,,3,1000000000": "item_id is missing",
    "1,10,,1000000000": "rating is missing",
    "1,10,good,1000000000": "rating is not a number: good",
    '1,10,"4,500",1000000000': "rating is not a number: 4,500",
    "1,10,nan,1000000000": "rating is not a number: nan",
    "1,10,inf,1000000000": "rating is not a number: inf",
    "1,10,1e99,1000000000": "rating is not a number: 1e99",
    "1,10,5.5,1000000000": "rating is outside the scale 1 to 5: 5.5",
    "1,10,0,1000000000": "rating is outside the scale 1 to 5: 0.0",
    "1,10,-3,1000000000": "rating is outside the scale 1 to 5: -3.0",
    "1,10,3,": "timestamp is unreadable: ",
    "1,10,3,yesterday": "timestamp is unreadable: yesterday",
    "1,10,3,2000-02-30": "timestamp is unreadable: 2000-02-30",
    "1,10,3,nan": "timestamp is unreadable: nan",
    "1,10,3,infinity": "timestamp is unreadable: infinity",
    "1,10,3,inf": "timestamp is unreadable: inf",
    "1,10,3,1e30": "timestamp is unreadable: 1e30",
    "anna,10,3,1000000000": "user_id is not an integer like the others: anna",
    "007,10,3,1000000000": "user_id is not an integer like the others: 007",
    "1,10.5,3,1000000000": "item_id is not an integer like the others: 10.5",
    "1,9223372036854775808,3,1000000000": "item_id is not an integer like the others: 9223372036854775808",
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


def test_malformed_lines_of_one_file_are_not_counted_with_the_next(store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", HEADER + "1,10\n4,10,3,1\n")
    drop(store, "b.csv", HEADER + "2,20\n5,10,3,1\n")
    assert [counts(file) for file in ingest(store)["files"]] == [(2, 1, 1), (2, 1, 1)]
    assert [raw for _, raw in refused(store)] == ["1,10", "2,20"]


def test_the_reasons_of_a_night_are_counted_over_all_files(store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", HEADER + "4,10,3,1\n5,10,3,1\n6,10,3,1\n4,10,x,1\n4,10,y,1\n,10,3,1\n")
    drop(store, "b.csv", HEADER + "4,20,z,1\n4,20,3,1\n5,20,3,1\n")
    outcome = ingest(store)
    assert outcome["reasons"] == {"rating is not a number": 3, "user_id is missing": 1}
    assert counts(outcome) == (9, 5, 4)
    assert [counts(file) for file in outcome["files"]] == [(6, 3, 3), (3, 2, 1)]


@given(
    st.lists(st.sampled_from([*BAD_ROWS, "4,10,3,1000000004", "5,20,4.5,2001-01-01"]), max_size=12)
)
@settings(max_examples=20, deadline=None)
def test_each_row_is_either_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    store = Store(tmp_path_factory.mktemp("store")).create()
    first_night(store)
    drop(store, "a.csv", HEADER + "".join(line + "\n" for line in lines))
    n_bad = sum(line in BAD_ROWS for line in lines)
    assert counts(ingest(store)) == (len(lines), len(lines) - n_bad, n_bad)
    assert (len(taken(store)), len(refused(store))) == (len(lines) - n_bad, n_bad)


# ---- the scale


def test_the_scale_of_the_first_night_is_kept(store: Store) -> None:
    drop(store, "a.csv", HEADER + "1,10,2,1\n2,10,4.5,2\n")
    assert ingest(store, "night-1")["scale"] == [2.0, 4.5]
    drop(store, "b.csv", HEADER + "1,20,1.5,3\n2,20,5,4\n3,20,3,5\n")
    outcome = ingest(store, "night-2")
    assert outcome["scale"] == [2.0, 4.5]
    assert [reason for reason, _ in refused(store, "night-2")] == [
        "rating is outside the scale 2 to 4.5: 1.5",
        "rating is outside the scale 2 to 4.5: 5.0",
    ]


def test_ends_of_the_scale_that_binary_numbers_cannot_hold_are_inside_it(store: Store) -> None:
    drop(store, "a.csv", HEADER + "1,10,0.1,1\n2,10,0.7,2\n")
    ingest(store, "night-1", "rating_low=0.1")
    drop(store, "b.csv", HEADER + "1,20,0.1,1\n2,20,0.7,2\n")
    assert counts(ingest(store, "night-2")) == (2, 2, 0)


@pytest.mark.parametrize(
    ("overrides", "n_taken"),
    [((), 3), (("rating_low=2",), 2), (("rating_high=4",), 2), (("rating_high=10",), 3)],
)
def test_settings_override_either_end_of_the_scale(
    overrides: tuple[str, ...], n_taken: int, store: Store
) -> None:
    drop(store, "a.csv", GOOD)
    outcome = ingest(store, "night-1", *overrides)
    assert counts(outcome) == (3, n_taken, 3 - n_taken)
    set_ends = dict(text.split("=") for text in overrides)
    assert outcome["scale"] == [
        float(set_ends.get("rating_low", 1)),
        float(set_ends.get("rating_high", 5)),
    ]


def test_settings_override_the_scale_on_a_later_night(store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", HEADER + "1,10,10,1\n1,20,11,1\n")
    ingest(store, "night-1", "rating_high=10")
    assert taken(store) == [(1, 10, 10.0, 1)]
    assert refused(store) == [("rating is outside the scale 1 to 10: 11.0", "1,20,11,1")]


def test_a_first_night_on_which_all_ratings_are_the_same_needs_a_scale(store: Store) -> None:
    drop(store, "a.csv", HEADER + "1,10,3,1\n2,10,3,1\n")
    assert "found the rating scale 3 to 3" in failure(store)
    assert counts(ingest(store, "night-1", "rating_low=1", "rating_high=5")) == (2, 2, 0)


# ---- ids


@pytest.mark.parametrize(
    ("user_ids", "id_type"),
    [
        (["1", "2"], "integer"),
        (["-5", "9223372036854775807"], "integer"),
        (["1.0", "2.0"], "integer"),
        (["1", "anna"], "string"),
        (["1", "007"], "string"),
        (["1", "9223372036854775808"], "string"),
        (["1", "1.5"], "string"),
    ],
)
def test_ids_are_integers_if_all_of_the_first_night_are(
    user_ids: list[str], id_type: str, store: Store
) -> None:
    drop(
        store,
        "a.csv",
        HEADER + "".join(f"{user_id},10,{4 + row},1\n" for row, user_id in enumerate(user_ids)),
    )
    outcome = ingest(store)
    assert outcome["id_types"] == {"user_id": id_type, "item_id": "integer"}
    plain = [user_id.removesuffix(".0") for user_id in user_ids]
    assert [row[0] for row in taken(store)] == (
        plain if id_type == "string" else [int(i) for i in plain]
    )


def test_an_id_of_a_refused_row_does_not_decide_the_type(store: Store) -> None:
    drop(store, "a.csv", GOOD + "anna,10,x,1\n")
    assert ingest(store)["id_types"]["user_id"] == "integer"


def test_a_store_of_integers_refuses_text_later_and_one_of_text_takes_both(store: Store) -> None:
    drop(store, "a.csv", HEADER + "1,film-a,1,1\n2,film-b,5,1\n")
    ingest(store, "night-1")
    drop(store, "b.csv", HEADER + "anna,film-c,3,1\n3,42,3,1\n")
    ingest(store, "night-2")
    assert taken(store, "night-2") == [(3, "42", 3.0, 1)]
    assert refused(store, "night-2") == [
        ("user_id is not an integer like the others: anna", "anna,film-c,3,1")
    ]


@pytest.mark.parametrize(("id_type", "n_taken"), [("string", 3), ("integer", 2)])
def test_the_type_of_ids_can_be_set(id_type: str, n_taken: int, store: Store) -> None:
    drop(store, "a.csv", GOOD.replace("\n1,", "\nanna,"))
    outcome = ingest(store, "night-1", f"id_type={id_type}")
    assert outcome["id_types"] == {"user_id": id_type, "item_id": id_type}
    assert counts(outcome) == (3, n_taken, 3 - n_taken)


# ---- each file once


def test_a_file_that_stays_in_the_landing_folder_is_taken_once(store: Store) -> None:
    drop(store, "a.csv", GOOD)
    ingest(store, "night-1")
    drop(store, "b.csv", HEADER + "9,90,2,1000000009\n")
    ingest(store, "night-2")
    assert taken(store, "night-1") == GOOD_ROWS
    assert taken(store, "night-2") == [(9, 90, 2.0, 1000000009)]


def test_the_same_content_under_another_name_is_left(store: Store) -> None:
    drop(store, "a.csv", GOOD)
    drop(store, "copy-of-a.csv", GOOD)
    assert counts(ingest(store, "night-1")) == (3, 3, 0)
    drop(store, "another-copy.csv", GOOD)
    assert counts(ingest(store, "night-2")) == (0, 0, 0)
    assert not taken(store, "night-2")


def test_new_content_under_the_same_name_is_taken(store: Store) -> None:
    drop(store, "a.csv", GOOD)
    ingest(store, "night-1")
    drop(store, "a.csv", GOOD.replace("1,10,4", "1,10,2"))  # of the same size
    ingest(store, "night-2")
    assert taken(store, "night-2") == [(1, 10, 2.0, 1000000000), *GOOD_ROWS[1:]]


def test_a_file_that_a_failed_run_saw_is_still_new(store: Store) -> None:
    drop(store, "a.csv", GOOD)
    bad = drop(store, "b.csv", "name,price\nx,2\n")
    failure(store, "night-1")
    bad.unlink()
    ingest(store, "night-2")
    assert taken(store, "night-2") == GOOD_ROWS


# ---- the same run again


def read_batch(store: Store, run_key: str) -> dict[str, pa.Table]:
    folders = (store.ratings(run_key), store.rejected(run_key))
    return {
        f"{part.parent.parent.name}/{part.name}": pq.ParquetFile(part).read()
        for folder in folders
        for part in sorted(folder.glob("*"))
    }


@pytest.fixture
def two_nights(store: Store) -> Store:
    drop(store, "a.csv", GOOD + "7,10,x,1\n")
    ingest(store, "night-1")
    drop(store, "b.csv", HEADER + "1,20,2,5\n4,20,9,5\n")
    drop(store, "c.csv", HEADER + "2,30,3,6\n")
    ingest(store, "night-2")
    return store


@pytest.mark.parametrize("run_key", ["night-1", "night-2"])
@pytest.mark.parametrize("gone", [(), ("a.csv",), ("b.csv",), ("a.csv", "b.csv", "c.csv")])
def test_a_rerun_makes_the_same_batch_also_from_files_that_have_gone(
    run_key: str, gone: tuple[str, ...], two_nights: Store
) -> None:
    before = {key: read_batch(two_nights, key) for key in ("night-1", "night-2")}
    outcome = two_nights.required_outcome(run_key, "ingest")
    for name in gone:
        (two_nights.landing / name).unlink()
    again = ingest(two_nights, run_key)
    assert {key: read_batch(two_nights, key) for key in before} == before
    assert {**again, "seconds": 0} == {**outcome, "seconds": 0}


@pytest.mark.parametrize("gone", ["a.csv", "b.csv"])
def test_a_rerun_of_the_first_night_without_one_of_its_files_keeps_scale_and_ids(
    gone: str, store: Store
) -> None:
    drop(store, "a.csv", GOOD.replace("\n1,", "\nanna,"))
    drop(store, "b.csv", HEADER + "7,20,2,1\n8,20,3,1\n")
    outcome, batch = ingest(store), read_batch(store, "night-1")
    (store.landing / gone).unlink()
    again = ingest(store)
    assert (again["scale"], again["id_types"]) == (outcome["scale"], outcome["id_types"])
    assert read_batch(store, "night-1") == batch


def test_a_rerun_takes_a_file_that_came_since(two_nights: Store) -> None:
    before = taken(two_nights, "night-2")
    drop(two_nights, "d.csv", HEADER + "5,50,5,7\n")
    ingest(two_nights, "night-2")
    assert taken(two_nights, "night-2") == [*before, (5, 50, 5.0, 7)]


def test_a_rerun_of_the_only_night_judges_its_files_anew_by_the_settings(store: Store) -> None:
    drop(store, "a.csv", HEADER + "1,10,1,1\n2,10,5,2\n3,10,50,3\n")
    assert ingest(store)["scale"] == [1.0, 50.0]
    outcome = ingest(store, "night-1", "rating_high=5", "id_type=string")
    assert (outcome["scale"], counts(outcome)) == ([1.0, 5.0], (3, 2, 1))
    assert taken(store) == [("1", "10", 1.0, 1), ("2", "10", 5.0, 2)]


# ---- files that cannot be read

NEW = GOOD.replace("1,10,4", "1,10,2")
UNREADABLE = {
    "no-columns.csv": b"name,price\nx,2\n",
    "cut.csv.gz": gzip.compress(NEW.encode())[:-6],
    "none.csv.gz": NEW.encode(),
    "cut.jsonl.gz": gzip.compress(b'{"userId": 1, "movieId": 10, "rating": 3}\n')[:-6],
    "none.parquet": NEW.encode(),
    "cut.parquet": random_ratings().to_parquet()[:-20],
    "open-quote.csv": (HEADER + '4,"10,3,1\n5,10,3,1\n6,10,3,1\n').encode(),
    "no-lines.json": b'[{"userId": 1, "movieId": 10, "rating": 3}]\n',
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_is_an_error_that_names_it_and_takes_nothing(
    name: str, store: Store
) -> None:
    first_night(store)
    drop(store, "a.csv", HEADER + "4,10,3,1\n")
    drop(store, name, UNREADABLE[name])
    drop(store, "z.csv", HEADER + "5,10,3,1\n")
    assert name in failure(store)
    assert not store.ratings("night-1").exists()
    (store.landing / name).unlink()
    ingest(store)
    assert taken(store) == [(4, 10, 3.0, 1), (5, 10, 3.0, 1)]


def test_a_rerun_that_fails_leaves_the_batch_as_it_was(two_nights: Store) -> None:
    drop(two_nights, "d.csv", "name,price\nx,2\n")
    message = failure(two_nights, "night-2")
    assert "'name', 'price'" in message
    assert taken(two_nights, "night-2") == [(1, 20, 2.0, 5), (2, 30, 3.0, 6)]


def test_a_big_parquet_file_damaged_in_its_middle_takes_nothing(store: Store) -> None:
    first_night(store)
    content = bytearray(random_ratings(300, 200).to_parquet())
    middle = len(content) // 3
    content[middle : middle + 400] = b"\xff" * 400
    drop(store, "damaged.parquet", bytes(content))
    assert "damaged.parquet" in failure(store)


def test_a_path_without_a_file_is_an_error(store: Store, tmp_path: Path) -> None:
    drop(store, "a.csv", GOOD)
    assert f"found no file {tmp_path / 'none.csv'}" in failure(
        store, ratings=(tmp_path / "none.csv",)
    )


def test_one_stray_quote_on_the_last_line_is_a_bad_row(store: Store) -> None:
    drop(store, "a.csv", GOOD + '"4,10,3,1\n')
    assert counts(ingest(store)) == (4, 3, 1)


# ---- nothing to read


def test_an_empty_landing_folder_on_the_first_night_is_an_error(store: Store) -> None:
    assert f"found no ratings in {store.landing}" in failure(store)


@pytest.mark.parametrize("content", ["", HEADER, "userId,movieId,rating\n,,\n"])
def test_a_first_night_without_any_rating_is_an_error(content: str, store: Store) -> None:
    drop(store, "a.csv", content)
    assert "expected ratings" in failure(store)


def test_an_empty_landing_folder_on_a_later_night_is_an_empty_batch(store: Store) -> None:
    first_night(store)
    outcome = ingest(store)
    assert (counts(outcome), outcome["files"]) == ((0, 0, 0), [])
    assert store.batches() == ["night-0", "night-1"]
    assert not taken(store)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", HEADER.encode()),
        ("a.csv.gz", gzip.compress(b"", mtime=0)),
        ("a.parquet", b""),
    ],
)
def test_an_empty_file_on_a_later_night_adds_nothing(
    name: str, content: bytes, store: Store
) -> None:
    first_night(store)
    drop(store, name, content)
    drop(store, "b.csv", HEADER + "4,10,3,1\n")
    assert counts(ingest(store)) == (1, 1, 0)
    assert taken(store) == [(4, 10, 3.0, 1)]


# ---- memory

PEAK = """
import sys
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task

limits = load_settings(["memory_limit_mb=256", "threads=2"])
print(run_task("ingest", Store(sys.argv[1]), limits, "night-1")["rows_taken"])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_a_file_larger_than_the_memory_limit_is_taken_within_it(store: Store) -> None:
    n_rows, review = 200_000, "lorem ipsum dolor sit amet " * 100
    path = store.landing / "reviews.csv"
    with path.open("w") as file:
        file.write("userId,movieId,rating,review\n")
        file.writelines(
            f"{row},{row % 1000},{1 + row % 5},{row} {review}\n" for row in range(n_rows)
        )
    size_in_kb = path.stat().st_size // 1024
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(store.root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    path.unlink()
    n_taken, peak_in_kb = map(int, done.stdout.split())
    assert n_taken == n_rows
    assert peak_in_kb < 0.9 * size_in_kb


@pytest.mark.parametrize("name", ["stars*.csv", "what?.csv", "[1].csv", "it's.csv"])
def test_names_of_files_are_no_patterns(store: Store, quick: Settings, name: str) -> None:
    (store.landing / name).write_text("userId,movieId,rating\n1,10,4\n")
    (store.landing / "stars-and-more.csv").write_text("userId,movieId,rating\n2,20,3\n")
    (store.landing / "what1.csv").write_text("userId,movieId,rating\n3,30,5\n")
    assert counts(run_task("ingest", store, quick, "night-1")) == (3, 3, 0)
    assert {row[0] for row in taken(store)} == {1, 2, 3}


def test_a_missing_id_in_a_float_column_of_parquet_is_missing(
    store: Store, quick: Settings
) -> None:
    frame = pd.DataFrame(
        {"userId": [1, None, 3], "movieId": [10, 20, 30], "rating": [4.0, 3, None]}
    )
    frame.loc[3] = [4, 40, 1.0]
    frame.to_parquet(store.landing / "ratings.parquet")
    outcome = run_task("ingest", store, quick, "night-1")
    assert outcome["id_types"]["user_id"] == "integer"
    assert [reason for reason, _ in refused(store)] == ["user_id is missing", "rating is missing"]


def test_a_file_corrected_in_place_is_read_again_by_a_rerun(store: Store, quick: Settings) -> None:
    path = store.landing / "ratings.csv"
    path.write_text("userId,movieId,rating\n1,10,4\n1,11,1\n1,12,oops\n")
    run_task("ingest", store, quick, "night-1")
    path.write_text("userId,movieId,rating\n1,10,4\n1,12,2\n")
    assert counts(run_task("ingest", store, quick, "night-1")) == (2, 2, 0)
    assert [row[:3] for row in taken(store)] == [(1, 10, 4), (1, 12, 2)]


def test_a_scale_and_id_type_given_on_the_first_night_are_kept(store: Store) -> None:
    (store.landing / "a.csv").write_text("userId,movieId,rating\n1,10,4\n")
    given = load_settings(["rating_low=0", "rating_high=10", "id_type=string"])
    run_task("ingest", store, given, "night-1")
    (store.landing / "b.csv").write_text("userId,movieId,rating\n1,11,8\n")
    outcome = run_task("ingest", store, load_settings(), "night-2")
    assert (outcome["rows_taken"], outcome["scale"]) == (1, [0, 10])
    with pytest.raises(DataError, match="found id_type integer, but the first night has fixed"):
        run_task("ingest", store, load_settings(["id_type=integer"]), "night-3")


def test_a_rating_that_no_scale_has_is_refused(store: Store) -> None:
    (store.landing / "a.csv").write_text("userId,movieId,rating\n1,10,4\n1,11,2\n1,12,1e15\n")
    outcome = run_task("ingest", store, load_settings(), "night-1")
    assert outcome["scale"] == [2, 4]
    assert refused(store) == [("rating is too large: 1e15", "1,12,1e15")]


def test_a_malformed_line_is_found_by_its_number(store: Store) -> None:
    (store.landing / "a.csv").write_text("userId,movieId,rating\n1,10,4\n1,11\n1,12,bad\n1,13,2\n")
    run_task("ingest", store, load_settings(), "night-1")
    found = {row["raw"]: row["row"] for row in rows(store, store.rejected("night-1"))}
    assert found == {"1,11": 3, "1,12,bad": 2}


def test_a_rerun_reads_files_again_that_were_given_by_path(
    store: Store, tmp_path: Path, caplog: Any
) -> None:
    path = tmp_path / "given.csv"
    path.write_text("userId,movieId,rating\n1,10,4\n1,11,2\n")
    run_task("ingest", store, load_settings(), "night-1", ratings=[path])
    outcome = run_task("ingest", store, load_settings(["rating_high=3"]), "night-1")
    assert counts(outcome) == (2, 1, 1)  # judged by the new settings
    assert "is gone" not in caplog.text


# ---- what arrives in real life


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
        '{"user": 1, "item": 10, "op": "delete", "time": 9}\n{"user": 2, "item": 10, "rating": 2, "time": 9}\n',
    )
    frame = pd.DataFrame({"user": [3], "item": [10], "rating": [None], "ts": [9], "op": ["d"]})
    frame.astype({"rating": float}).to_parquet(store.landing / "b.parquet")
    ingest(store)
    assert taken(store) == [(1, 10, None, 9), (2, 10, 2.0, 9), (3, 10, None, 9)]


def test_a_file_that_is_still_being_written_waits_for_the_next_run(
    store: Store, caplog: Any
) -> None:
    first_night(store)
    path = store.landing / "slow.csv"
    writer = f"""
import time
with open({str(path)!r}, "w") as file:
    print({HEADER.strip()!r}, file=file, flush=True)
    for user in range(10**6):
        print(f"{{user}},10,3,1", file=file, flush=True)
        time.sleep(0.05)
"""
    drop(store, "whole.csv", HEADER + "4,10,3,1\n")
    with subprocess.Popen([sys.executable, "-c", writer]) as process:
        try:
            while not path.exists() or path.stat().st_size < 100:
                time.sleep(0.01)
            assert counts(ingest(store, "night-1", "settle_seconds=0.5")) == (1, 1, 0)
        finally:
            process.kill()
    assert "slow.csv is still being written, so it is left for the next run" in caplog.text
    n_lines = path.read_text().count("\n") - 1
    assert ingest(store, "night-2", "settle_seconds=0.5")["rows_taken"] == n_lines


def test_too_many_refused_rows_stop_the_run(store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", HEADER + "4,10,3,1\n5,10,x,1\n6,10,y,1\n7,10,,1\n")
    with pytest.raises(DataError) as stopped:
        ingest(store, "night-1", "max_rejected=0.7")
    assert "found 3 of 4 rows to be rejected, expected at most 0.7 of them" in str(stopped.value)
    assert "rating is not a number (2), rating is missing (1)" in str(stopped.value)
    assert "a.csv" in str(stopped.value)
    shown = pd.read_parquet(store.rejected("night-1"))["raw"].tolist()
    assert shown == ["5,10,x,1", "6,10,y,1", "7,10,,1"]
    assert not store.ratings("night-1").exists()
    assert store.batches() == ["night-0"]
    assert counts(ingest(store, "night-1", "max_rejected=0.75")) == (4, 1, 3)
    drop(store, "a.csv", HEADER + "4,10,x,1\n")
    failure(
        store, overrides=("max_rejected=0.5",)
    )  # the batch that counts stays as it was, refused rows and all
    assert [raw for _, raw in refused(store)] == shown


@pytest.mark.parametrize("name", ["a.csv.zst", "a.jsonl.zstd"])
def test_zstd_is_read_and_a_cut_file_is_an_error(name: str, store: Store) -> None:
    first_night(store)
    frame = random_ratings(300, 40).assign(userId=lambda f: f["userId"] * 7919)
    text = (
        frame.to_csv(index=False) if "csv" in name else frame.to_json(orient="records", lines=True)
    )
    with pa.CompressedOutputStream(str(store.landing / name), "zstd") as file:
        file.write(text.encode())
    settle(store.landing / name)
    whole = (store.landing / name).read_bytes()
    drop(store, name, whole[:-9])
    assert name in failure(store)
    drop(store, name, whole)
    assert counts(ingest(store)) == (len(frame), len(frame), 0)
    assert taken(store) == list(frame.itertuples(index=False, name=None))


@pytest.mark.parametrize("text", ["4,5", "+4,5", "4,50"])
def test_a_decimal_comma_is_a_decimal_point(text: str, store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", f"userId;movieId;rating\n1;10;{text}\n")
    drop(store, "b.csv", f'userId,movieId,rating\n2,10,"{text}"\n')
    ingest(store)
    assert [row[2] for row in taken(store)] == [4.5, 4.5]


IDS = [
    "Smith, J",
    "two  words",
    "日本",
    "e\u0301",
    "é",
    "007",
    "7",
    "4" * 40,
    "4" * 39 + "5",
    "-",
    "a;b|c\td",
    "NULL",
    "0x1F",
]


def test_ids_stay_what_they_are(store: Store) -> None:
    frame = pd.DataFrame({"userId": IDS, "movieId": IDS[::-1], "rating": [1, 5] * 6 + [3]})
    frame.to_csv(settle_later := store.landing / "a.csv", index=False, quoting=1)
    settle(settle_later)
    ingest(store)
    assert [row[:2] for row in taken(store)] == list(zip(IDS, IDS[::-1], strict=True))


@pytest.mark.parametrize("rating", ["3", "bad"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.csv.gz"])
def test_a_row_of_100_mb_is_a_row_like_the_others(name: str, rating: str, store: Store) -> None:
    first_night(store)
    rows = [
        (1, "4", "fine"),
        (2, rating, "x" * 100_000_000),
        (3, "5", "good"),
        (4, "2", "x" * 3_000_000),
        (5, "1", ""),
    ]
    if "csv" in name:
        text = "userId,movieId,rating,review\n" + "".join(
            f"{user},10,{stars},{more}\n" for user, stars, more in rows
        )
    else:
        text = "".join(
            f'{{"user":{user},"item":10,"rating":"{stars}","review":"{more}"}}\n'
            for user, stars, more in rows
        )
    drop(store, name, gzip.compress(text.encode(), 1) if name.endswith(".gz") else text)
    outcome = ingest(store)
    bad = int(rating == "bad")
    assert counts(outcome) == (5, 5 - bad, bad)
    assert [row[0] for row in taken(store)] == [row[0] for row in rows if row[1] != "bad"]
    assert [len(raw) > 100_000_000 for _, raw in refused(store)] == [True] * bad


def test_a_record_of_many_lines_and_mb_does_not_go_unnoticed(store: Store) -> None:
    first_night(store)
    review = ("lorem ipsum" * 1000 + "\n") * 400
    drop(
        store,
        "a.csv",
        f'userId,movieId,rating,review\n1,10,4,fine\n2,10,3,"{review}"\n3,10,5,good\n',
    )
    assert ingest(store)["rows_read"] == 3
