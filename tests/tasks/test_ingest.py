"""Ingest: good rows of new files into the batch, bad rows aside, nothing half-written."""

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase
from tests.support.data import random_ratings
from tests.support.ingestion import (
    GOOD,
    HEADER,
    counts,
    drop,
    failure,
    first_night,
    ingest,
    refused,
    taken,
)


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


NEW = GOOD.replace("1,10,4", "1,10,2")


UNREADABLE = {
    "no-columns.csv": b"name,price\nx,2\n",
    "cut.csv.gz": gzip.compress(NEW.encode())[:-6],
    "none.csv.gz": NEW.encode(),
    "cut.jsonl.gz": gzip.compress(b'{"userId": 1, "movieId": 10, "rating": 3}\n')[:-6],
    "none.parquet": b"PAR1" + NEW.encode(),
    "cut.parquet": random_ratings().to_parquet()[:-20],
    "open-quote.csv": (HEADER + '4,"10,3,1\n5,10,3,1\n6,10,3,1\n').encode(),
}


@pytest.mark.slow
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


def test_an_empty_file_that_comes_again_after_an_erasure_adds_nothing(store: Store) -> None:
    drop(store, "a.csv", GOOD)
    drop(store, "b.csv", "")
    ingest(store)
    erase(store, load_settings(), ["1"])
    drop(store, "c.csv", "")
    assert counts(ingest(store, "night-2")) == (0, 0, 0)


@pytest.mark.parametrize("time", ["12/31/2024", "31.12.2024 10:15", "31 Dec 2024"])
def test_dates_of_other_forms_are_named_with_what_is_expected(time: str, store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", HEADER + f"4,10,3,{time}\n5,10,4,{time}\n")
    with pytest.raises(DataError) as stopped:
        ingest(store, "night-1", "max_rejected=0.1")
    message = f"timestamp is unreadable (2), such as {time} (expected times from 1980"
    assert message in str(stopped.value)


def test_a_refused_user_id_is_in_no_message(store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", HEADER + "bob,10,3,1\n")
    with pytest.raises(DataError, match="user_id is not an integer like the others") as stopped:
        ingest(store, "night-1", "max_rejected=0.1")
    assert "bob" not in str(stopped.value)


@pytest.mark.slow
def test_too_many_refused_rows_stop_the_run(store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", HEADER + "4,10,3,1\n5,10,x,1\n6,10,y,1\n7,10,,1\n")
    with pytest.raises(DataError) as stopped:
        ingest(store, "night-1", "max_rejected=0.7")
    assert "found 3 of 4 rows to be rejected, expected at most 0.7 of them" in str(stopped.value)
    assert "rating is not a number (2), rating is missing (1), such as x" in str(stopped.value)
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
