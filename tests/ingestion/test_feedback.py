"""Ratings or events: what the first run's files show, and how rows of events are counted."""

import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.store.store import Store
from tests.support.data import settle
from tests.support.ingestion import counts, drop, failure, first_night, ingest, refused, taken

# First files, and the feedback and the values that each row has then.
FIRST_NIGHTS = {
    "user,item\n1,10\n1,10\n2,20\n": ("events", [1, 1, 1]),
    "user,item,plays\n1,10,3\n2,20,0.5\n": ("events", [3, 0.5]),
    "User;Item;Play Count\n1;10;3\n2;20;4,5\n": ("events", [3, 4.5]),
    "user_id,venue_id,check_ins\n1,10,3\n2,20,1\n": ("events", [3, 1]),
    "user,item,Quantity,price\n1,10,3,9.5\n2,20,1,8\n": ("events", [3, 1]),
    "user,item,ts\n1,10,1700000000\n2,20,1700000001\n": ("events", [1, 1]),
    "user,item,rating\n1,10,1\n2,20,1\n": ("events", [1, 1]),
    "user,item,rating\n1,10,1\n2,20,1.0\n": ("events", [1, 1]),
    "user,item,rating,views\n1,10,1,7\n2,20,1,2\n": ("events", [7, 2]),
    "user,item,rating,views\n1,10,4,7\n2,20,1,2\n": ("ratings", [4, 1]),
    "user,item,rating,views,clicks\n1,10,4,7,1\n2,20,1,2,1\n": ("ratings", [4, 1]),
    "user,item,rating\n1,10,1\n2,20,0\n": ("ratings", [1, 0]),
}


@pytest.mark.parametrize("content", FIRST_NIGHTS)
def test_the_first_files_show_ratings_or_events(
    content: str, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    feedback, values = FIRST_NIGHTS[content]
    drop(store, "a.csv", content)
    with caplog.at_level(logging.INFO):
        outcome = ingest(store)
    assert [row[2] for row in taken(store)] == values
    assert outcome["feedback"] == feedback
    assert (outcome["scale"] is None) == (feedback == "events")
    record = store.records.properties()
    assert record is not None
    assert record["feedback"] == store.records.feedback() == feedback
    said = [line for line in caplog.messages if "event" in line and "first run" in line]
    assert len(said) == (2 if feedback == "events" else 0)


COUNTED = "user,item,rating\n1,10,1\n1,20,2\n2,20,1\n3,30,750\n"


def test_counts_in_a_column_of_ratings_are_those_of_events(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    drop(store, "a.csv", COUNTED)
    with caplog.at_level(logging.INFO):
        assert ingest(store)["feedback"] == "events"
    assert [row[2] for row in taken(store)] == [1, 2, 1, 750]
    assert any("the column rating holds counts" in line for line in caplog.messages)
    drop(store, "b.csv", "user,item,rating\n1,30,3\n")
    assert ingest(store, "night-2")["feedback"] == "events", "a later file may hold small counts"
    assert sorted(row[2] for row in taken(store, "night-2")) == [3]


@pytest.mark.parametrize(
    ("content", "overrides"),
    [
        (COUNTED, ["feedback=ratings"]),
        (COUNTED, ["rating_low=1", "rating_high=750"]),
        (COUNTED.replace("750", "100"), []),  # a scale of 1 to 100
        (COUNTED.replace("750", "750.5"), []),
        (COUNTED.replace("3,30,750", "3,30,300\n3,40,290\n3,50,280\n3,60,260"), []),
        (COUNTED.replace("1,10,1", "1,10,-4"), []),
    ],
)
def test_other_ratings_are_no_counts(content: str, overrides: list[str], store: Store) -> None:
    drop(store, "a.csv", content)
    assert ingest(store, "night-1", *overrides)["feedback"] == "ratings"


def test_a_store_of_an_older_version_has_ratings(store: Store) -> None:
    first_night(store)
    record = store.records.properties()
    assert record is not None
    del record["feedback"]
    store.records.write_properties(record)
    assert store.records.feedback() == "ratings"
    drop(store, "b.csv", "user,item,rating,ts\n1,20,5,1700000000\n")
    assert ingest(store)["feedback"] == "ratings"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"user": 1, "item": 10, "plays": 2}\n{"user": 2, "item": 10, "plays": 5}\n'),
        ("a.tsv", "user\titem\tplays\n1\t10\t2\n2\t10\t5\n"),
        ("a.csv", 'user,item,plays\n1,10,"2"\n2,10,5\n'),
    ],
)
def test_events_of_every_format(name: str, content: str, store: Store) -> None:
    drop(store, name, content)
    assert ingest(store)["feedback"] == "events"
    assert [row[:3] for row in taken(store)] == [(1, 10, 2), (2, 10, 5)]


def test_events_of_parquet(store: Store) -> None:
    path = store.landing / "a.parquet"
    pq.write_table(pa.table({"user": [1, 2], "item": [10, 10], "clicks": [2, 5]}), path)
    settle(path)
    assert ingest(store)["feedback"] == "events"
    assert [row[:3] for row in taken(store)] == [(1, 10, 2), (2, 10, 5)]


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("words", [("1", "0"), ("true", "false"), (" True", "FALSE")])
def test_what_did_not_happen_is_no_event(
    words: tuple[str, str], quoted: bool, store: Store
) -> None:
    yes, no = words
    user = '"1"' if quoted else "1"
    drop(store, "a.csv", f"user,item,liked\n{user},10,{yes}\n2,10,{no}\n2,20,{yes}\n")
    assert ingest(store)["feedback"] == "events"
    assert [row[:3] for row in taken(store)] == [(1, 10, 1), (2, 20, 1)]
    assert [reason for reason, _ in refused(store)] == ["count is not above 0: 0.0"]


def test_flags_of_parquet(store: Store) -> None:
    path = store.landing / "a.parquet"
    flags = pa.array([True, False, None])
    pq.write_table(pa.table({"user": [1, 2, 3], "item": [10, 10, 10], "clicked": flags}), path)
    settle(path)
    assert counts(ingest(store)) == (3, 1, 2)
    assert [row[:3] for row in taken(store)] == [(1, 10, 1)]


@pytest.mark.parametrize("quoted", [False, True])
def test_a_count_that_is_none_is_rejected(quoted: bool, store: Store) -> None:
    bad = {
        "": "count is missing",
        "many": "count is not a number: many",
        "0": "count is not above 0: 0.0",
        "-2": "count is not above 0: -2.0",
        "inf": "count is not a number: inf",
        "1e12": "count is too large: 1e12",
    }
    lines = "".join(f"1,{item},{count}\n" for item, count in enumerate(bad))
    # A cell in quotation marks keeps the file from the short way of plain files.
    good = '2,20,"3"\n' if quoted else "2,20,3\n"
    drop(store, "a.csv", "user,item,plays\n" + good + lines)
    assert counts(ingest(store)) == (7, 1, 6)
    assert [reason for reason, _ in refused(store)] == list(bad.values())


def test_a_row_without_a_rating_is_no_event(store: Store) -> None:
    drop(store, "a.csv", "user,item,note,rating\n1,10,x,1\n1,20,x,\n1,30,x,99\n")
    assert ingest(store, "night-1", "not_rated=99")["feedback"] == "events"
    assert [row[:3] for row in taken(store)] == [(1, 10, 1)]
    assert sorted(reason for reason, _ in refused(store)) == ["count is missing", "not rated"]


def test_the_column_of_counts_can_be_set(store: Store) -> None:
    drop(store, "a.csv", "user,item,plays,clicks\n1,10,2,7\n")
    assert "'plays', 'clicks', each of which may be count" in failure(store)
    ingest(store, "night-1", "count_column=clicks")
    assert [row[2] for row in taken(store)] == [7]


def test_stars_can_be_taken_as_events(store: Store) -> None:
    drop(store, "a.csv", "user,item,rating\n1,10,5\n2,10,3\n2,20,0\n")
    assert ingest(store, "night-1", "feedback=events")["scale"] is None
    assert [row[2] for row in taken(store)] == [1, 1]
    assert refused(store) == [("count is not above 0: 0.0", "2,20,0")]


def test_equal_stars_are_ratings_whose_scale_must_be_set(store: Store) -> None:
    drop(store, "a.csv", "user,item,rating\n1,10,3\n2,10,3\n")
    assert "found the rating scale 3 to 3" in failure(store)
    outcome = ingest(store, "night-1", "rating_low=1", "rating_high=5")
    assert (outcome["feedback"], outcome["scale"]) == ("ratings", [1, 5])


EVENTS, RATINGS = "user,item\n1,10\n", "user,item,rating\n1,10,4\n1,20,2\n"
OTHER_KINDS = [
    (EVENTS, RATINGS, (), "b.csv: found ratings such as 4, expected events"),
    (EVENTS, RATINGS, ("feedback=ratings",), "found feedback = ratings, expected events"),
    (RATINGS, EVENTS + "3,10\n", (), "b.csv: found no column of ratings, expected one"),
    (RATINGS, EVENTS + "3,10\n", ("feedback=events",), "found feedback = events, expected ratings"),
]


@pytest.mark.parametrize(("first", "second", "overrides", "message"), OTHER_KINDS)
def test_a_night_of_the_other_kind_is_refused(
    first: str, second: str, overrides: tuple[str, ...], message: str, store: Store
) -> None:
    path = drop(store, "a.csv", first)
    ingest(store)
    path.unlink()
    drop(store, "b.csv", second)
    assert message in failure(store, "night-2", overrides)


def test_a_first_night_of_both_kinds_names_the_file_without_ratings(store: Store) -> None:
    drop(store, "a.csv", RATINGS)
    drop(store, "b.csv", EVENTS)
    assert "b.csv: found no column of ratings" in failure(store)


def test_later_nights_of_events(store: Store) -> None:
    drop(store, "a.csv", "user,item,plays\n1,10,3\n")
    ingest(store, "night-1")
    drop(store, "b.csv", "user,item,rating\n2,20,1\n3,20,1\n")
    assert counts(ingest(store, "night-2")) == (2, 2, 0)
    assert counts(ingest(store, "night-3")) == (0, 0, 0)
    drop(store, "c.csv", "user,item,rating,op\n2,20,5,u\n3,20,,d\n1,10,2,u\n")
    assert counts(ingest(store, "night-4", "feedback=events")) == (3, 3, 0)
    assert [row[2] for row in taken(store, "night-4")] == [1, None, 1]


def test_no_files_make_no_store_of_events(store: Store) -> None:
    with pytest.raises(DataError, match="found no ratings in"):
        ingest(store)
    assert store.records.properties() is None
