"""Columns are found under the usual names, in any case, punctuation and order."""

from pathlib import Path

import pandas as pd
import pytest

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


def test_of_two_columns_for_one_thing_the_more_usual_name_counts(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "movie,movieId,user,rating\nTitanic,42,7,3\n")) == [
        ("7", "42", "3", None)
    ]


def test_of_two_columns_with_almost_the_same_name_the_first_counts(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "userId,user_id,item,stars\n7,8,42,3\n")) == [
        ("7", "42", "3", None)
    ]


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
        ("a.csv", "userId,movieId,rating,rating\n7,42,3,4\n", ["'rating' twice", "once"]),
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
