"""Missing values: words for none are no ids, no ratings and no times, in every format."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from duckdb import DuckDBPyConnection
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.ids import BLANKS
from cofi_jobs.ingestion.missing import has_numbers, macro, missing_words
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import sql
from cofi_jobs.store.store import Store
from tests.support.data import settle
from tests.support.ingestion import GOOD, HEADER, drop, first_night, ingest, refused, taken

DEFAULT = load_settings().missing
# Spellings of the default words, and blanks around them.
WORDS = ["", "  ", "NULL", "null", " Null ", "NA", "n/a", "nan", "NaN", "None", "NaT", "<NA>",
         "#N/A", r"\N"]  # fmt: skip
NEARLY = ["nullable", "N", "-", "?", "nano", "na na", "0", "N-A"]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_for_none_is_no_id_and_no_rating_and_a_time_that_is_older(
    word: str, store: Store
) -> None:
    first_night(store)
    drop(store, "a.csv", f"{HEADER}{word},10,3,7\n1,{word},3,7\n1,10,{word},7\n1,10,2,{word}\n")
    ingest(store)
    assert [reason for reason, _ in refused(store)] == [
        "user_id is missing",
        "item_id is missing",
        "rating is missing",
    ]
    assert taken(store) == [(1, 10, 2.0, None)]


@pytest.mark.parametrize("word", NEARLY)
def test_other_words_are_ids(word: str, store: Store) -> None:
    drop(store, "a.csv", f"{HEADER}{word},ann,3,7\n1,ben,4,7\n")
    ingest(store, "night-1", "id_type=string")
    assert [row[0] for row in taken(store)] == [word, "1"]


def test_a_withdrawal_needs_no_rating_and_an_operation_may_be_missing(store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", "user,item,rating,op\n1,10,NULL,delete\n2,10,3,NULL\n")
    ingest(store)
    assert taken(store) == [(1, 10, None, None), (2, 10, 3.0, None)]


def test_missing_times_do_not_hide_the_unit_of_the_others(store: Store) -> None:
    first_night(store)
    drop(
        store, "a.csv", f"{HEADER}1,10,3,20240131\n" + "".join(f"2,{n},3,NULL\n" for n in range(9))
    )
    ingest(store)
    assert [row[3] for row in taken(store)] == [1706659200, *[None] * 9]


def test_missing_values_of_json_and_parquet(store: Store) -> None:
    first_night(store)
    rows = [
        {"user": 1, "item": 10, "rating": 3, "time": None},
        {"user": float("nan"), "item": 10, "rating": 3, "time": 7},
        {"user": 1, "item": "NULL", "rating": 3, "time": 7},
        {"user": 1, "item": 10, "rating": None, "time": 7},
    ]
    drop(store, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    columns = {"user": [2, np.nan, 2, 2], "item": ["10", "10", "nan", "10"]}
    frame = pd.DataFrame({**columns, "rating": [3, 3, 3, np.nan], "time": [np.nan, 7, 7, 7]})
    frame.to_parquet(store.landing / "b.parquet")
    settle(store.landing / "b.parquet")
    ingest(store)
    assert taken(store) == [(1, 10, 3.0, None), (2, 10, 3.0, None)]
    reasons = ["user_id is missing", "item_id is missing", "rating is missing"]
    assert [reason for reason, _ in refused(store)] == 2 * reasons


@pytest.mark.parametrize(
    ("setting", "n_taken"),
    [("-1", 3), ("?", 2), ("2", 2), ("2, -1", 2), ("?, 4", 1), (",", 3), ("20", 2)],
)
def test_the_words_can_be_set_and_numbers_may_be_among_them(
    setting: str, n_taken: int, store: Store
) -> None:
    drop(store, "a.csv", GOOD.replace("\n3,", "\n?,") if "?" in setting else GOOD)
    limits = ("rating_low=0", "rating_high=5")
    outcome = ingest(store, "night-1", f"missing={setting}", *limits)
    assert outcome["rows_taken"] == n_taken


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (",", [""]),
        ("NULL", ["", "null"]),
        (" Na ,?, na,", ["", "?", "na"]),
        (r"\N", ["", r"\n"]),
        ('"a, b",c', ["", "a, b", "c"]),
    ],
)
def test_words_are_in_lower_case_and_the_empty_cell_is_one(setting: str, words: list[str]) -> None:
    assert missing_words(setting) == words


@pytest.fixture(scope="module")
def connection() -> Iterator[DuckDBPyConnection]:
    with sql.connect(load_settings(), Path("unused")) as connection:
        yield connection


def present(connection: DuckDBPyConnection, cell: str, setting: str) -> tuple[str | None, str]:
    """What the macro makes of a cell, and the cell in lower case without blanks around it."""
    connection.execute(macro(setting))
    query = "SELECT present($cell), lower(trim($cell))"
    [(value, word)] = connection.execute(query, {"cell": cell}).fetchall()
    return value, word


SETTINGS = st.sampled_from([DEFAULT, "?, 7", "-1"])


@pytest.mark.slow
@given(st.text(max_size=6), SETTINGS)
@settings(max_examples=60, deadline=None)
def test_no_other_cell_is_missing(connection: DuckDBPyConnection, cell: str, setting: str) -> None:
    value, word = present(connection, cell, setting)
    assert value == cell or (value is None and word in missing_words(setting))


@pytest.mark.slow
@given(SETTINGS, st.data())
@settings(max_examples=60, deadline=None)
def test_a_word_is_missing_as_it_is_usually_written(
    connection: DuckDBPyConnection, setting: str, data: st.DataObject
) -> None:
    word = data.draw(st.sampled_from(missing_words(setting)))
    spelling = data.draw(st.sampled_from([str.lower, str.upper, str.capitalize]))
    before, after = (data.draw(st.sampled_from(["", " ", "  "])) for _ in range(2))
    assert present(connection, before + spelling(word) + after, setting)[0] is None


@pytest.mark.parametrize("blank", BLANKS)
def test_a_blank_cell_is_missing(connection: DuckDBPyConnection, blank: str) -> None:
    assert present(connection, blank, DEFAULT)[0] is None


@pytest.mark.parametrize(
    ("setting", "expected"), [(DEFAULT, False), ("", False), ("a1", False), ("-1", True),
                              ("NULL, .5", True), ("99", True), ("1x", True)]
)  # fmt: skip
def test_words_that_look_like_numbers_are_noticed(setting: str, expected: bool) -> None:
    assert has_numbers(setting) is expected
