"""Columns are found under the usual names, in any case, punctuation and order."""

from pathlib import Path

import pandas as pd
import pytest

from cofi_jobs.ingestion.columns import choose_rating_columns
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.ingestion import drop
from tests.support.rating_files import read, refusal, write


@pytest.mark.parametrize(
    "header",
    [
        "userId,movieId,rating,timestamp",
        "user_id,item_id,rating,timestamp",
        "USER,ITEM,STARS,TIME",
        "User ID,Movie-Id,Score,Created At",
        "uid,iid,Ratings,ts",
        "customer_id,product_id,rating,date",
        '"userId","movieId","rating","timestamp"',
        " userId , movieId , rating , timestamp ",
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_usual_column_names_are_known_in_any_case_and_punctuation(
    header: str, separator: str, tmp_path: Path
) -> None:
    text = f"{header}\n7,42,3.5,978300760\n".replace(",", separator)
    assert read(write(tmp_path / "a.csv", text)) == [("7", "42", "3.5", "978300760")]


def test_columns_are_found_in_any_order_and_others_are_passed_over(tmp_path: Path) -> None:
    text = "comment,timestamp,rating,tags,movieId,userId\nfine,978300760,3.5,x y,42,7\n"
    assert read(write(tmp_path / "a.csv", text)) == [("7", "42", "3.5", "978300760")]


@pytest.mark.parametrize(
    "header",
    [
        "movie,movieId,user,rating,x",
        "user_name,item,userId,stars,isbn",
        "isbn,book_id,user,rating,title",
    ],
)
def test_an_id_counts_before_the_name_of_the_same_thing(header: str, tmp_path: Path) -> None:
    columns = header.split(",")
    chosen = choose_rating_columns(tmp_path / "a.csv", columns, load_settings())
    assert chosen["item_id"] in ("movieId", "isbn", "book_id")
    assert chosen["user_id"] in ("user", "userId")


def test_the_time_of_the_rating_counts_before_other_times(tmp_path: Path) -> None:
    columns = ["user", "item", "rating", "date", "timestamp", "updated_at"]
    chosen = choose_rating_columns(tmp_path / "a.csv", columns, load_settings())
    assert chosen["timestamp"] == "timestamp"


@pytest.mark.parametrize(
    ("header", "column", "candidates"),
    [
        ("userId,user_id,item,stars", "user", ["userId", "user_id"]),
        ("user,user_name,item,stars", "user", ["user", "user_name"]),
        ("user_id,customer_id,item,stars", "user", ["user_id", "customer_id"]),
        ("user,track_id,artist_id,stars", "item", ["track_id", "artist_id"]),
        ("user,song,artist,stars", "item", ["song", "artist"]),
        ("user,item,rating,score", "rating", ["rating", "score"]),
        ("user,item,stars,date,time", "time", ["date", "time"]),
        ("user,item,stars,op,operation", "op", ["op", "operation"]),
        ("user,item,rating,rating", "rating", ["rating", "rating (column 4)"]),
        ("user,item,rating,Rating", "rating", ["rating", "Rating (column 4)"]),
    ],
)
def test_two_candidates_are_an_error_that_names_both_and_the_setting_that_decides(
    header: str, column: str, candidates: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path / "a.csv", f"{header}\n" + "7," * header.count(",") + "7\n")
    message = refusal(path)
    assert [part for part in map(repr, candidates) if part not in message] == []
    assert message.endswith(f"set {column}_column")
    for candidate in candidates:
        [row] = read(path, overrides=[f"{column}_column={candidate}"])
        assert "7" in row


def test_a_file_without_a_column_of_times_has_none(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "userId,movieId,rating\n7,42,3\n")) == [
        ("7", "42", "3", None)
    ]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.csv", "name,price\nx,2\n", ["'name'", "'price'", "user_id, item_id, rating"]),
        ("a.csv", "userId,rating\n7,2\n", ["'userId'", "'rating'", "item_id: itemid, movieid"]),
        ("a.csv", "7,42,3.5\n8,42,3\n", ["'7'", "'42'", "'3.5'"]),
        ("a.csv", "userId,movieId,rating,rating\n7,42,3,4\n", ["'rating' and 'rating (column 4)'"]),
        ("a.csv.gz", "name,price\nx,2\n", ["'name'", "'price'"]),
        ("a.jsonl", '{"name": "x", "price": 2}\n', ["'name'", "'price'"]),
        ("a.jsonl", "no json\n", ["none"]),
        ("a.json", '[{"userId": 1, "movieId": 2, "rating": 3}]\n', ["none", "JSON lines"]),
    ],
)
def test_a_file_without_usable_columns_is_an_error_that_names_those_found(
    name: str, content: str, found: list[str], tmp_path: Path
) -> None:
    message = refusal(write(tmp_path / name, content))
    assert [part for part in found if part not in message] == []


def test_a_parquet_file_without_usable_columns_is_an_error_that_names_those_found(
    tmp_path: Path,
) -> None:
    pd.DataFrame({"name": ["x"], "price": [2]}).to_parquet(tmp_path / "a.parquet")
    assert "'name', 'price'" in refusal(tmp_path / "a.parquet")


def test_columns_that_are_not_wanted_may_be_unnamed_or_repeated(store: Store) -> None:
    frame = pd.DataFrame({"userId": [7], "movieId": [42], "rating": [3.0]})
    frame.to_csv(store.landing / "with-index.csv")  # pandas' default: an unnamed first column
    drop(store, "notes.csv", "userId,note,movieId,note,rating\n8,a,42,b,4\n")
    outcome = run_task("ingest", store, load_settings(["rating_low=1", "rating_high=5"]), "night-1")
    assert (outcome["rows_taken"], outcome["rows_refused"]) == (2, 0)
