"""Columns are found under the usual names, in any case, punctuation and order."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion.columns import SETTINGS, choose_rating_columns, unique
from cofi_jobs.ingestion.known_columns import RATING_COLUMNS
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.ingestion import drop, ingest, taken
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
        ("a.csv", "7,42,3.5\n8,42,3\n", ["found no header", "user_id,item_id,rating"]),
        ("a.csv", "userId,movieId,rating,rating\n7,42,3,4\n", ["'rating', 'rating (column 4)'"]),
        ("a.csv.gz", "name,price\nx,2\n", ["'name'", "'price'"]),
        ("a.jsonl", '{"name": "x", "price": 2}\n', ["'name'", "'price'"]),
        ("a.jsonl", "no json\n", ["none"]),
        ("a.json", "[1, 2, 3]\n", ["none", "JSON (lines or an array)"]),
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


@pytest.mark.slow
def test_columns_that_are_not_wanted_may_be_unnamed_or_repeated(store: Store) -> None:
    frame = pd.DataFrame({"userId": [7], "movieId": [42], "rating": [3.0]})
    frame.to_csv(store.landing / "with-index.csv")  # pandas' default: an unnamed first column
    drop(store, "notes.csv", "userId,note,movieId,note,rating\n8,a,42,b,4\n")
    outcome = run_task("ingest", store, load_settings(["rating_low=1", "rating_high=5"]), "night-1")
    assert (outcome["rows_taken"], outcome["rows_refused"]) == (2, 0)


KNOWN = {
    name: column for column, tiers in RATING_COLUMNS.items() for tier in tiers for name in tier
}


def chosen(columns: Any, *overrides: str) -> dict[str, str]:
    return choose_rating_columns(Path("a.csv"), columns, load_settings(overrides))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("User-ID;ISBN;Book-Rating", "User-ID;ISBN;Book-Rating"),  # Book-Crossing
        ("overall;reviewTime;reviewerID;asin;reviewerName;unixReviewTime",
         "reviewerID;asin;overall;unixReviewTime"),  # Amazon
        ("customer_id;review_id;product_id;product_parent;product_title;star_rating;review_date",
         "customer_id;product_id;star_rating;review_date"),  # Amazon, by countries
        ("Id;ProductId;UserId;ProfileName;Score;Time;Summary", "UserId;ProductId;Score;Time"),
        ("Cust_Id;Movie_Id;Rating;Date", "Cust_Id;Movie_Id;Rating;Date"),  # Netflix
        ("user_id;book_id;rating", "user_id;book_id;rating"),  # goodbooks-10k
        ("review_id;user_id;business_id;stars;useful;text;date", "user_id;business_id;stars;date"),
        ("user_id;recipe_id;date;rating;review", "user_id;recipe_id;rating;date"),  # Food.com
        ("username;anime_id;my_score", "username;anime_id;my_score"),  # MyAnimeList
        ("brewery_id;brewery_name;review_time;review_overall;review_profilename;beer_name;beer_beerid",
         "review_profilename;beer_beerid;review_overall;review_time"),  # BeerAdvocate
        ("userID;artistID;stars", "userID;artistID;stars"),
        ("user;track;stars;ts", "user;track;stars;ts"),
        ("user;gmap_id;rating;time;name;text", "user;gmap_id;rating;time"),  # Google local
        ("ＵＳＥＲ;item;rating", "ＵＳＥＲ;item;rating"),  # full width
    ],
)  # fmt: skip
def test_the_columns_of_well_known_sets_of_ratings_are_known(header: str, expected: str) -> None:
    assert list(chosen(header.split(";")).values()) == expected.split(";")


def test_no_name_is_known_for_two_columns() -> None:
    assert len(KNOWN) == sum(len(tier) for tiers in RATING_COLUMNS.values() for tier in tiers)


@given(st.lists(st.sampled_from(sorted(KNOWN)), max_size=8, unique=True), st.booleans())
@settings(max_examples=60, deadline=None)
def test_each_column_is_found_or_missing_or_has_two_candidates(
    columns: list[str], complete: bool
) -> None:
    columns = [*columns, "rating", "user_id", "item_id"] if complete else columns
    try:
        found = chosen(unique(columns))
    except DataError as error:
        message = str(error)
        known = [KNOWN[column] for column in columns if column in KNOWN]
        assert "expected one" in message
        assert "each of which may be" in message or {"user_id", "item_id", "rating"} - set(known)
        return
    assert {"user_id", "item_id"} <= set(found)  # a file of events has no rating
    assert len(set(found.values())) == len(found)


@given(
    st.lists(st.text(st.characters(codec="utf-8")), min_size=6, max_size=9),
    st.permutations(range(6)),
)
@settings(max_examples=60, deadline=None)
def test_a_setting_finds_a_column_of_any_name(names: list[str], order: list[int]) -> None:
    columns = unique(names)
    wanted = {
        column: columns[place]
        for column, place in zip(SETTINGS, order, strict=True)
        if columns[place] == columns[place].strip() and len(columns[place].splitlines()) == 1
    }
    quoted = {column: '"' + name.replace('"', '""') + '"' for column, name in wanted.items()}
    overrides = [f"{SETTINGS[column]}={text}" for column, text in quoted.items()]
    assume(len(wanted) == len(SETTINGS))
    assert chosen(columns, *overrides) == wanted


@given(st.lists(st.sampled_from(["a", "A", "", "a (column 2)", "column 1", "b"]), max_size=9))
def test_every_column_gets_a_name_of_its_own(names: list[str]) -> None:
    columns = unique(names)
    assert len({column.lower() for column in columns}) == len(columns) == len(names)
    assert "" not in columns


ODD = {"Kundin": 7, "Ware, Nr.": 42, "Note": 3.5, "Tag": 978300760, "userId": 1, "rating": 2}
OWN = [
    "user_column=Kunde,Kundin",
    'item_column="Ware, Nr."',
    "rating_column=note",
    "time_column=TAG",
]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_settings_name_the_columns_of_every_format(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame([ODD])
    path = tmp_path / name
    if name == "a.csv":
        frame.to_csv(path, index=False)
    elif name == "a.jsonl":
        path.write_text(json.dumps(ODD) + "\n")
    else:
        frame.to_parquet(path)
    assert read(path, overrides=OWN) == [("7", "42", "3.5", "978300760")]


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["user_column=Kunde"], ["'userId', 'movieId'", "'Kunde' (setting user_column)"]),
        (["op_column=a, b"], ["expected 'a' or 'b' (setting op_column)"]),
        (["user_column=userId", "item_column=userid"], ["user_column='userId'", "of its own"]),
    ],
)
def test_a_setting_that_names_no_column_of_its_own_is_an_error(
    overrides: list[str], parts: list[str], tmp_path: Path
) -> None:
    message = refusal(write(tmp_path / "a.csv", "userId,movieId,rating\n7,42,3\n"), *overrides)
    assert [part for part in parts if part not in message] == []


def test_a_header_of_many_long_names_gives_a_short_message(tmp_path: Path) -> None:
    header = ",".join(f"{'x' * 1000}{number}" for number in range(1000))
    message = refusal(write(tmp_path / "a.csv", f"{header}\n1,2\n"))
    assert "and 980 more" in message
    assert len(message) < 2500


def test_rows_that_mean_no_rating_are_no_errors_and_form_no_scale(store: Store) -> None:
    rows = [f"{user},{item},{stars}" for user in range(4) for item, stars in enumerate((1, 5, 3))]
    zeros = [f"{user},{item},{zero}" for user in range(9) for item, zero in ((7, 0), (8, "99.0"))]
    drop(store, "a.csv", "\n".join(["User-ID,ISBN,Book-Rating", *zeros, *rows]) + "\n")
    outcome = ingest(store, "night-1", "not_rated=0,-1,99", "max_rejected=0")
    assert outcome["reasons"] == {"not rated": len(zeros)}
    assert (outcome["scale"], len(taken(store))) == ([1, 5], len(rows))


def test_other_rejected_rows_count_beside_those_not_rated(store: Store) -> None:
    rows = ["userId,movieId,rating", *["1,2,3", "1,3,5"], *["1,4,0"] * 96, *["1,5,x"] * 2]
    drop(store, "a.csv", "\n".join(rows) + "\n")
    with pytest.raises(DataError, match="found 2 of 4 rows to be rejected"):
        ingest(store, "night-1", "not_rated=0", "max_rejected=0.4")
