"""An id in texts: only as a word, in messages only where a record has messages."""

import json
import re
from pathlib import Path

import pytest

from cofi_jobs.erasure.matching import as_word
from cofi_jobs.erasure.texts import MESSAGES, names_users, redact, strings


@pytest.mark.parametrize(
    ("text", "is_there"),
    [
        ("17", True),
        ("17,42,3", True),
        ("user_id '17', too bad", True),
        ("17.0", True),
        ("2017-01-17.csv", False),
        ("170", False),
        ("x17", False),
        ("-17", False),
    ],
)
def test_an_id_is_a_word(text: str, is_there: bool):
    assert bool(as_word(["17"]).search(text)) == is_there


def test_an_id_may_hold_what_expressions_use():
    assert as_word(["a.b|c*"]).search("x, a.b|c*, y")
    assert not as_word(["a.b"]).search("aXb")


def test_a_records_messages_are_redacted_and_its_other_fields_stay():
    record = {"error": "found 17 17 and 170", "n": 17, "name": "17", "refusals": ["17 is", "ok"]}
    assert redact(record, as_word(["17"])) == {
        "error": "found *** *** and 170",
        "n": 17,
        "name": "17",
        "refusals": ["*** is", "ok"],
    }


def test_fields_of_records_can_be_searched_alone(tmp_path: Path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"name": "17", "deep": [{"error": ["of", {"x": "42"}]}]}))
    assert set(strings(path)) == {"17", "of", "42"}
    assert set(strings(path, MESSAGES)) == {"of", "42"}
    assert not names_users(path, ["17"], MESSAGES)
    assert names_users(path, ["17"])


@pytest.mark.parametrize("name", ["page.html", "no.json"])
def test_what_is_no_record_is_searched_whole(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_text("<td>a&amp;b</td> {")
    [text] = strings(path, MESSAGES)
    assert re.search("a&b", text)
    assert names_users(path, ["a&b"], MESSAGES)


@pytest.mark.parametrize(
    ("content", "is_there"),
    [
        ({"user": 17}, True),
        ({"deep": [{"17": None}]}, True),
        ([17.0], True),
        ({"user": "a\n17"}, True),
        ({"user": 170}, False),
        ([17.5], False),
        ({"n": -17}, False),
    ],
)
def test_numbers_and_names_of_json_are_searched(tmp_path: Path, content: object, is_there: bool):
    path = tmp_path / "notes.json"
    path.write_text(json.dumps(content))
    assert names_users(path, ["17"]) is is_there
    assert not names_users(path, ["17"], MESSAGES)
