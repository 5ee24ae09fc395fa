"""Formats: whatever the format, the same text columns come out, as the file has them."""

import json
from pathlib import Path

import pytest

from tests.support.rating_files import (
    CSV,
    JSON,
    JSON_ROWS,
    ROWS,
    read,
    write,
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV),
        ("a.CSV", CSV),
        ("a.txt", CSV),
        ("a.2026-01-01.csv", CSV),
        ("ratings (1).csv", CSV),
        ("it's [new].csv", CSV),
        ("a.csv", CSV.rstrip("\n")),
        ("a.csv", CSV + "\n\n"),
        ("a.csv", CSV.replace("\n", "\r\n")),
        ("a.csv", b"\xef\xbb\xbf" + CSV.encode()),
        ("a.csv", b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode()),
        ("a.csv", CSV.replace("7,42", '"7","42"')),
        ("a.csv", CSV.replace("7,42", " 7 , 42 ")),
        ("a.csv", CSV.replace("7,42", "7.0,42.0")),
        ("a.csv", CSV.replace(",", ";")),
        ("a.tsv", CSV.replace(",", "\t")),
        ("a.csv.gz", CSV),
        ("a.tsv.gz", CSV.replace(",", "\t")),
        ("a.jsonl", JSON),
        ("a.ndjson", JSON),
        ("a.json", JSON),
        ("a.jsonl", JSON.replace("\n", "\r\n")),
        ("a.jsonl", b"\xef\xbb\xbf" + JSON.encode()),
        ("a.jsonl", JSON.replace("\n", "\n\n")),
        ("a.jsonl.gz", JSON),
        ("u.data", "7\t42\t3.5\t978300760\n8\t43\t4\t978300761\n"),
        ("u.data", b"\xef\xbb\xbf" + b"7\t42\t3.5\t978300760\n8\t43\t4\t978300761\n"),
        ("u1.base", "7\t42\t3.5\t978300760\r\n8\t43\t4\t978300761\r\n"),
        ("ratings.dat", "7::42::3.5::978300760\n8::43::4::978300761\n"),
        ("ratings.dat.gz", "7::42::3.5::978300760\n8::43::4::978300761\n"),
    ],
)
def test_every_text_format_gives_the_same_columns(
    name: str, content: str | bytes, tmp_path: Path
) -> None:
    assert read(write(tmp_path / name, content)) == ROWS


@pytest.mark.parametrize("text", ["007", "1.5", "x.0", "-3", "1.00", "0"])
def test_ids_that_are_not_whole_numbers_from_a_float_column_stay_as_they_are(
    text: str, tmp_path: Path
) -> None:
    assert read(write(tmp_path / "a.csv", f"userId,movieId,rating\n{text},{text},3\n")) == [
        (text, text, "3", None)
    ]


@pytest.mark.parametrize(
    ("name", "content", "raw"),
    [
        ("a.csv", CSV, "7,42,3.5,978300760"),
        ("a.csv", CSV.replace(",", ";"), "7;42;3.5;978300760"),
        ("a.csv", "note,userId,movieId,rating\n,7,42,\n", ",7,42,"),
        ("ratings.dat", "7::42::3.5::978300760\n", "7::42::3.5::978300760"),
        ("a.jsonl", JSON, json.dumps(JSON_ROWS[0])),
    ],
)
def test_the_text_of_a_record_is_kept(name: str, content: str, raw: str, tmp_path: Path) -> None:
    assert read(write(tmp_path / name, content), "raw")[0] == (raw,)
