"""JSON: lines or arrays, in which a key is looked up in each object; values are text."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.ids import BLANKS
from cofi_jobs.ingestion import json_records
from cofi_jobs.ingestion.json_records import ARRAY, LINES, OBJECTS
from cofi_jobs.store.store import Store
from tests.support.ingestion import counts, drop, failure, first_night, ingest, refused, taken
from tests.support.memory import LIMIT_MB, MORE_MB, ingest_alone
from tests.support.rating_files import read, write

GOOD = [{"user": 1, "item": 10, "rating": 3}, {"user": 2, "item": 20, "rating": 4}]
GOOD_ROWS = [(1, 10, 3.0, None), (2, 20, 4.0, None)]
OTHER = {"user": 3, "item": 30, "rating": 5}


def lines(*objects: dict[str, Any]) -> str:
    return "".join(json.dumps(value) + "\n" for value in objects)


def test_json_values_of_any_type_are_their_text_and_null_is_none(tmp_path: Path) -> None:
    rows = [
        '{"user id": "Éric", "item": 5000000000, "stars": 3.5}',
        '{"user id": null, "item": " a\\"b ", "stars": true}',
    ]
    assert read(write(tmp_path / "a.jsonl", "\n".join(rows))) == [
        ("Éric", "5000000000", "3.5", None),
        (None, 'a"b', "true", None),
    ]


WAYS = {
    "lines": lines(*GOOD),
    "an array on one line": json.dumps(GOOD),
    "an array of one object a line": "[" + ",\n".join(map(json.dumps, GOOD)) + "]",
    "a pretty array": json.dumps(GOOD, indent=2),
    "a pretty array with other line ends": json.dumps(GOOD, indent=2).replace("\n", "\r\n"),
    "blanks around an array": "\n  [\n" + ",".join(map(json.dumps, GOOD)) + "\n ]\n\n",
    "an array after a byte order mark": "\ufeff" + json.dumps(GOOD),
    "pretty objects": "\n".join(json.dumps(value, indent=2) for value in GOOD),
    "objects without line ends": "".join(map(json.dumps, GOOD)),
}


@pytest.mark.parametrize("name", ["a.json", "a.jsonl.gz"])
@pytest.mark.parametrize("way", WAYS)
def test_objects_are_read_however_they_are_laid_out(way: str, name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, WAYS[way])
    assert read(path) == [("1", "10", "3", None), ("2", "20", "4", None)]


@pytest.mark.parametrize(
    ("start", "layout"),
    [
        ("", LINES),
        ("[", ARRAY),
        ("[]", ARRAY),
        ("[ {", ARRAY),
        ("[[1, 2]]", LINES),
        ("[1, 2]\n{}", LINES),
        ("[" * 1000, LINES),
        ('{"a": 1}', LINES),
        ('{"a": 1}\n{"b": 2}', LINES),
        ('{"a": 1} {"b": 2}', OBJECTS),
        ('{\n"a": 1}', OBJECTS),
        ('{"a": 1,\n"b": [', OBJECTS),
        ('{"a": 1, "b\n{"a": 1}', LINES),
        ('{"a": ' * 100_000, LINES),
        ("user,item\n1,2", LINES),
    ],
)
def test_the_start_of_a_file_shows_its_layout(start: str, layout: str, tmp_path: Path) -> None:
    assert json_records.layout(write(tmp_path / "a.json", start)) == layout


# Each after 150 objects without these keys.
LATE: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "a deletion": ({"user": 1, "item": 10, "op": "delete", "time": 10**9}, (1, 10, None, 10**9)),
    "a time": (OTHER | {"timestamp": 10**9}, (3, 30, 5.0, 10**9)),
    "other names": ({"userId": 3, "movieId": 30, "stars": 5}, (3, 30, 5.0, None)),
    "an id before a name": ({"user": "ann", "user_id": 3, "item": 30, "rating": 5},
                            (3, 30, 5.0, None)),
}  # fmt: skip


@pytest.mark.parametrize("what", LATE)
def test_a_key_is_looked_up_in_each_object(what: str, store: Store) -> None:
    late, row = LATE[what]
    drop(store, "a.jsonl", lines(*GOOD * 75, late))
    ingest(store)
    assert taken(store) == GOOD_ROWS * 75 + [row]


def test_two_keys_of_one_object_for_the_same_are_an_error_that_names_both(store: Store) -> None:
    drop(store, "a.jsonl", lines(*GOOD * 75, OTHER | {"User": 4}))
    assert "found the columns 'User', 'user', each of which may be user_id" in failure(store)
    ingest(store, "night-1", "user_column=user")
    assert len(taken(store)) == 151


@pytest.mark.parametrize("what", ["line", "value"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"user": {"id": 3}, "item": 30, "rating": 5}', "user_id is a JSON object"),
        ('{"user": [3], "item": 30, "rating": 5}', "user_id is a JSON array"),
        ('{"user": true, "item": 30, "rating": 5}', "user_id is a JSON boolean"),
        ('{"user": 3, "item": {}, "rating": 5}', "item_id is a JSON object"),
        ('{"user": 3, "item": [], "op": "delete"}', "item_id is a JSON array"),
        ('{"user": 3, "user": 4, "item": 30, "rating": 5}', "a key is there twice"),
        ('{"user": 3, "item": 30, "rating": [5]}', "rating is not a number: [5]"),
        ('{"user": 3, "item": 30, "rating": true}', "rating is not a number: true"),
        ('{"user": 3, "item": 30, "rating": NaN}', "rating is missing"),
        ('{"user": null, "item": 30, "rating": 5}', "user_id is missing"),
        ("5", " is not a JSON object"),
        ("null", " is not a JSON object"),
        ('"text"', " is not a JSON object"),
    ],
)
def test_a_bad_object_is_rejected_with_its_reason(
    text: str, reason: str, what: str, store: Store
) -> None:
    first_night(store)
    objects = [json.dumps(GOOD[0]), text, json.dumps(GOOD[1])]
    content = "\n".join(objects) if what == "line" else "[" + ",".join(objects) + "]"
    drop(store, "a.json", content)
    ingest(store)
    assert taken(store) == GOOD_ROWS
    assert refused(store) == [(what + reason if reason.startswith(" ") else reason, text)]


def test_a_key_of_something_else_may_be_there_twice(store: Store) -> None:
    drop(store, "a.jsonl", lines(*GOOD) + '{"x": 1, "x": 2, "user": 3, "item": 30, "rating": 5}\n')
    assert counts(ingest(store)) == (3, 3, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"user": 1, "item": 10, "rating": 3}, {"user": 1, "item" 2}]', "Malformed JSON"),
        ('[{"user": 1, "item": 10, "rating": 3}, {"user": 1', "Malformed JSON"),
        ('[{"user": 1, "item": 10, "rating": 3}] and more', "Malformed JSON"),
        ('{"ratings": [{"user": 1, "item": 10, "rating": 3}]}', "found the columns 'ratings'"),
        ("[" * 1000, "found the columns none"),
        (lines(*(OTHER | {f"key {n}": 1} for n in range(10_001))), "more than 10000 different"),
    ],
)
def test_a_file_that_is_no_list_of_objects_is_an_error(
    content: str, message: str, store: Store
) -> None:
    path = drop(store, "a.json", content)
    said = failure(store)
    assert message in said
    assert str(path) in said


def test_an_empty_array_has_no_ratings(store: Store) -> None:
    first_night(store)
    drop(store, "a.json", " []\n")
    assert counts(ingest(store)) == (0, 0, 0)


KEYS = st.sampled_from(["a/b", "a~b", "a~1b", "*", "$", '"', "\\", "a.b", "'", "Ü ser", "[0]"])


@pytest.mark.slow
@given(KEYS, st.lists(st.one_of(st.integers(), st.text(min_size=1, max_size=9)), max_size=3))
@settings(max_examples=20, deadline=None)
def test_a_key_of_any_name_gives_its_values_as_text(
    tmp_path_factory: pytest.TempPathFactory, key: str, values: list[int | str]
) -> None:
    quoted = '"' + key.replace('"', '""') + '"'
    path = tmp_path_factory.mktemp("json") / "a.json"
    write(path, json.dumps([{"user": 1, "item": 2, key: value} for value in values or [1]]))
    rows = read(path, "rating", [f"rating_column={quoted}"])
    assert rows == [(str(value).strip(BLANKS),) for value in values or [1]]


@pytest.mark.slow
def test_a_large_array_on_one_line_is_taken_within_the_memory_limit(store: Store) -> None:
    n_rows, review = 100_000, "lorem ipsum dolor sit amet " * 75
    with (store.landing / "a.json").open("w") as file:
        for row in range(n_rows):
            value = {"user": row, "item": row % 1000, "rating": 1 + row % 5, "review": review}
            file.write(("[" if row == 0 else ",") + json.dumps(value))
        file.write("]")
    ingested = ingest_alone(store.root)
    assert ingested.n_taken == n_rows
    assert ingested.peak_kb < (LIMIT_MB + MORE_MB) * 1024
