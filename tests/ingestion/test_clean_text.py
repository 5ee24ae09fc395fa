"""Clean text: whatever the bytes, each line is read as it was meant, or rejected by its number."""

import bz2
import codecs
import gzip
import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cofi_jobs.core.errors import SettingsError
from cofi_jobs.ingestion import clean_text, staging
from cofi_jobs.ingestion.verdicts import Bounds
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import sql
from cofi_jobs.store.store import Store
from tests.support.data import settle
from tests.support.ingestion import counts, drop, ingest, refused, rows, taken
from tests.support.rating_files import (
    CSV,
    JSON,
    JSON_ROWS,
    ROWS,
    read,
    read_catalogue,
    refusal,
    write,
)

TEXT = "user,item,rating,note\nMüller,Café,5,“ok” – 3 €\nañb,Tee,4,\nx,Tee,1,\n"
PEOPLE = [("Müller", "Café"), ("añb", "Tee"), ("x", "Tee")]


def read_people(path: Path, *overrides: str) -> list[Any]:
    return read(path, "user_id, item_id", overrides)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_encodings_and_line_ends_are_recognised(
    encoding: str, line_end: str, name: str, tmp_path: Path
) -> None:
    path = write(tmp_path / name, TEXT.replace("\n", line_end).encode(encoding))
    assert read_people(path) == PEOPLE


@pytest.mark.parametrize("encoding", ["shift_jis", "gb18030", "utf-16-le", "iso2022_jp", "utf-7"])
def test_a_declared_encoding_is_used(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("user,item,rating\n日本,映画,5\nabc,映画,4\n".encode(encoding))
    assert read_people(path, f"encoding={encoding}") == [("日本", "映画"), ("abc", "映画")]


def test_a_byte_order_mark_wins_over_the_setting(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(codecs.BOM_UTF8 + TEXT.encode())
    assert read_people(path, "encoding=latin-1") == PEOPLE


@pytest.mark.parametrize("name", ["utf-9", "hex", "a\0b", "undefined"])
def test_an_unknown_encoding_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="encoding"):
        read_people(write(tmp_path / "a.csv", TEXT), f"encoding={name}")


@pytest.mark.parametrize(
    ("bad", "encoding", "reason"),
    [
        (b"x,Tee,4,caf\xc3", "auto", "line is not valid UTF-8"),
        (b"x,Tee,4,\xed\xa0\x80", "auto", "line is not valid UTF-8"),
        (b"x,Tee,4,caf\xe9", "utf-8", "line is not valid UTF-8"),
        (b"x,T\0ee,4,", "auto", "line has a NUL character"),
        (b'x,Tee,4,"caf\xc3"', "auto", "line is not valid UTF-8"),
        (b"x,Tee,4,\x81", "windows-1252", "line is not valid Windows-1252"),
    ],
)
def test_only_the_broken_line_is_rejected_by_its_number(
    bad: bytes, encoding: str, reason: str, store: Store
) -> None:
    codec = "utf-8" if encoding == "auto" else encoding
    head, *good = TEXT.encode(codec).splitlines()
    drop(store, "a.csv", b"\n".join([head, *good, bad, b"short", b"y,Tee,3,", b""]))
    assert counts(ingest(store, "night-1", f"encoding={encoding}")) == (6, 4, 2)
    assert [row[:2] for row in taken(store)] == [*PEOPLE, ("y", "Tee")]
    rejected = rows(store, store.rejected("night-1"))
    assert {row["row"]: row["reason"] for row in rejected} == {
        5: reason,
        6: "line is malformed: missing columns",
    }


def test_a_line_in_utf_8_in_a_file_of_windows_1252_is_rejected(store: Store) -> None:
    lines = ["user,item,rating", *(f"Müller{number},Café,{1 + number % 5}" for number in range(9))]
    drop(store, "a.csv", "\n".join(lines).encode("cp1252") + "\nJosé,Café,4\n".encode())
    assert counts(ingest(store)) == (10, 9, 1)
    assert refused(store)[0][0] == "line is UTF-8 in a file of Windows-1252"


@pytest.mark.parametrize(
    "ends",
    [
        ["\n", "\r\n"],
        ["\r\n", "\n"],
        ["\r", "\n"],
        ["\r\r\n"],
        ["\r\n", "\r"],
        ["\n", "\r", "\r\r\n", "\r\n"],
    ],
)
@pytest.mark.parametrize(("name", "text"), [("a.csv", CSV), ("a.jsonl", JSON)])
def test_mixed_line_ends_are_read(ends: list[str], name: str, text: str, tmp_path: Path) -> None:
    lines = text.splitlines()
    mixed = "".join(line + ends[number % len(ends)] for number, line in enumerate(lines))
    assert read(write(tmp_path / name, mixed)) == ROWS


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a", "a.parquet", "a.dat"])
@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz", "zstd"])
def test_packed_files_are_recognised_by_their_first_bytes(
    name: str, kind: str, tmp_path: Path
) -> None:
    pack: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
    }
    content = CSV.encode()
    packed = pack[kind](content) if kind in pack else pa.compress(content, "zstd", asbytes=True)
    (tmp_path / name).write_bytes(packed)
    assert read(tmp_path / name) == ROWS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_in_any_encoding_is_read(
    encoding: str, indent: int | None, tmp_path: Path
) -> None:
    text = json.dumps(JSON_ROWS, indent=indent)
    (tmp_path / "a.json").write_bytes(bz2.compress(text.encode(encoding)))
    assert read(tmp_path / "a.json") == ROWS


def test_json_is_recognised_by_its_first_line(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.txt", JSON)) == ROWS


CELLS = st.sampled_from(
    [
        "1",
        "anna",
        "",
        " ",
        "Zoë",
        '"a,b"',
        '"a\nb"',
        '"say ""x"""',
        "x\ty",
        "4",
        '5" disc',
        "\ufeff",
    ]
)
LINES = st.one_of(
    st.tuples(CELLS, CELLS, st.sampled_from(["4", "1.5", "x", '"3"', ""])).map(",".join),
    st.sampled_from(["", "a", "a,b,c,d", "1,2,3,", ",,", '"x"y,2,3']),
)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBPyConnection]:
    """One for all files, as ingest has it."""
    with sql.connect(load_settings(), tmp_path_factory.mktemp("staging")) as connection:
        staging.open_database(connection, load_settings())
        yield connection


def rows_of(connection: DuckDBPyConnection, path: Path) -> list[Any]:
    """Good and rejected rows of a file, or the message of its refusal."""
    try:
        staged = staging.stage(connection, 0, path, load_settings(), Bounds(low=1, high=5))
    except Exception as error:
        return [type(error).__name__]
    columns = "user_number, item_number, user_id, item_id, value, reason"
    return connection.execute(f"SELECT {columns} FROM {staged.view}").fetchall()


@pytest.mark.slow
@given(st.lists(LINES, max_size=8), st.sampled_from(["utf-8", "utf-16"]))
@example(['"a\nb",2,3', "a", "1,2,3,", '5" disc,2,3'], "utf-16")
@settings(max_examples=40, deadline=None)
def test_a_copy_gives_the_rows_of_the_file(
    connection: DuckDBPyConnection,
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    encoding: str,
) -> None:
    folder = tmp_path_factory.mktemp("copies")
    text = "\n".join(["user,item,rating", "7,8,4", *lines, "7,9,3"]) + "\n"
    original, copied = folder / "a.csv", folder / "b.csv"
    original.write_bytes(text.encode())
    copied.write_bytes(bz2.compress(text.encode(encoding)))
    assert rows_of(connection, copied) == rows_of(connection, original)


def test_a_catalogue_is_read_alike(tmp_path: Path) -> None:
    text = "movieId,title\n1,Amélie – “best”\n2,Café\n"
    for encoding in ("utf-16", "cp1252", "utf-8-sig"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes(text.encode(encoding))
        assert read_catalogue(path) == [("1", "Amélie – “best”", None), ("2", "Café", None)]


def test_many_malformed_lines_are_kept_out_and_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clean_text, "MOST_KEPT", 100_000)
    path = store.landing / "a.csv"
    path.write_text("user,item,rating\n1,2,3\n" + "x\n" * 20_000 + "1,3,4\n1,2\n")
    settle(path)
    assert counts(ingest(store)) == (20_003, 2, 20_001)
    rejected = rows(store, store.rejected("night-1"))
    assert [row["row"] for row in rejected] == [*range(3, 20_003), 20_004]


KINDS = {
    "zip": b"PK\x03\x04" + b"x" * 99,
    "tar": b"a.csv".ljust(257, b"\0") + b"ustar\0" + b"x" * 300,
    "old Excel": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "7-Zip": b"7z\xbc\xaf\x27\x1c",
    "encrypted": b"PARE" + b"x" * 99,
    "SQLite": b"SQLite format 3\0",
    "image": b"\x89PNG\r\n\x1a\n",
    "HTML": b"<!DOCTYPE html>\n<p>404</p>",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
    "binary": bytes(range(256)),
    "packed twice": gzip.compress(b"userId,movieId,rating\n"),
    "Parquet that is packed": b"PAR1" + b"x" * 99,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.dat"])
def test_what_is_no_text_is_said_in_one_sentence(kind: str, name: str, tmp_path: Path) -> None:
    inside = kind in ("packed twice", "Parquet that is packed")
    path = tmp_path / name
    path.write_bytes(gzip.compress(KINDS[kind]) if inside else KINDS[kind])
    message = refusal(path)
    assert kind in message
    assert "expected text or a Parquet file" in message
    path.write_bytes(gzip.compress(KINDS[kind]))
    assert kind in refusal(path)
