"""JSON lines: values of any type are text."""

from pathlib import Path

from tests.support.rating_files import read, write


def test_json_values_of_any_type_are_their_text_and_null_is_none(tmp_path: Path) -> None:
    rows = [
        '{"user id": "Éric", "item": 5000000000, "stars": 3.5}',
        '{"user id": null, "item": " a\\"b ", "stars": true}',
    ]
    assert read(write(tmp_path / "a.jsonl", "\n".join(rows))) == [
        ("Éric", "5000000000", "3.5", None),
        (None, 'a"b', "true", None),
    ]
