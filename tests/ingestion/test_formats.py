"""Readers: whatever the format and the column names, the same text columns come out, as the file has them."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion.catalogue import catalogue
from cofi_jobs.ingestion.csv_files import U_ITEM_GENRES
from cofi_jobs.ingestion.formats import rating_file
from cofi_jobs.ingestion.landing import drop_files
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import sql
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task

Row = tuple[str | None, ...]


def write(path: Path, content: str | bytes) -> Path:
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read(path: Path, columns: str = "user_id, item_id, rating, timestamp") -> list[Row]:
    with sql.connect(load_settings(), path.parent) as connection:
        query = rating_file(connection, path).query
        return connection.execute(f"SELECT {columns} FROM ({query})").fetchall()


def read_catalogue(path: Path) -> list[Row]:
    with sql.connect(load_settings(), path.parent) as connection:
        return connection.execute(
            f"SELECT item_id, title, groups FROM ({catalogue(connection, path)})"
        ).fetchall()


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


# ---- column names


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


# ---- formats

CSV = "userId,movieId,rating,timestamp\n7,42,3.5,978300760\n8,43,4,978300761\n"
ROWS = [("7", "42", "3.5", "978300760"), ("8", "43", "4", "978300761")]
JSON_ROWS = [
    {"userId": 7, "movieId": 42, "rating": 3.5, "timestamp": 978300760},
    {"userId": "8", "timestamp": "978300761", "movieId": "43", "rating": "4", "more": [1]},
]
JSON = "".join(json.dumps(row) + "\n" for row in JSON_ROWS)


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


def test_two_gzip_files_one_after_the_other_are_read_as_one(tmp_path: Path) -> None:
    header, first, second = CSV.splitlines(keepends=True)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress((header + first).encode()) + gzip.compress(second.encode()))
    assert read(path) == ROWS


@pytest.mark.parametrize("name", ["a.parquet", "a.PQ"])
@pytest.mark.parametrize(
    "ids", [pa.int32(), pa.int64(), pa.float64(), pa.string(), pa.large_string()]
)
def test_parquet_ids_of_any_type_give_the_same_text(
    name: str, ids: pa.DataType, tmp_path: Path
) -> None:
    numbers = pa.array([7, 8])
    columns = {
        "user_id": numbers.cast(ids),
        "item_id": pa.array(["42", "43"]),
        "rating": pa.array([3.5, 4.0]),
    }
    pq.write_table(pa.table(columns), tmp_path / name)
    assert read(tmp_path / name) == [("7", "42", "3.5", None), ("8", "43", "4.0", None)]


def test_cells_with_separators_quotes_and_line_ends_are_kept(tmp_path: Path) -> None:
    text = 'userId,movieId,rating\n"Smith, J","the ""best""\none",3\nÉric,日本,4\n'
    assert read(write(tmp_path / "a.csv", text)) == [
        ("Smith, J", 'the "best"\none', "3", None),
        ("Éric", "日本", "4", None),
    ]


def test_a_latin_1_file_is_read_as_such(tmp_path: Path) -> None:
    text = "userId;movieId;rating\nJosé;Amélie;3\n".encode("latin-1")
    assert read(write(tmp_path / "a.csv", text)) == [("José", "Amélie", "3", None)]


def test_json_values_of_any_type_are_their_text_and_null_is_none(tmp_path: Path) -> None:
    rows = [
        '{"user id": "Éric", "item": 5000000000, "stars": 3.5}',
        '{"user id": null, "item": " a\\"b ", "stars": true}',
    ]
    assert read(write(tmp_path / "a.jsonl", "\n".join(rows))) == [
        ("Éric", "5000000000", "3.5", None),
        (None, 'a"b', "true", None),
    ]


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


def damaged(content: bytes) -> dict[str, bytes]:
    """A gzip file cut short, with a wrong checksum, with broken codes, and one that is none."""
    packed = gzip.compress(content)
    wrong_sum = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    return {
        "cut": packed[:-4],
        "checksum": wrong_sum,
        "codes": packed[:10] + b"\xff" * 40,
        "none": content,
    }


@pytest.mark.parametrize("damage", ["cut", "checksum", "codes", "none"])
@pytest.mark.parametrize(
    ("name", "content"), [("a.csv.gz", CSV), ("a.jsonl.gz", JSON), ("movies.csv.gz", CSV)]
)
def test_a_damaged_gzip_file_is_a_clear_error(
    name: str, content: str, damage: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(damaged(content.encode())[damage])
    assert "cannot be read" in refusal(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_catalogue(path)


def test_a_wrong_checksum_is_found_at_the_end_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(damaged((CSV + "9,44,3,978300762\n" * 500_000).encode())["checksum"])
    assert "cannot be read" in refusal(path)


@pytest.mark.parametrize(("length", "is_long"), [(100, False), (100_000, False), (3_000_000, True)])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_only_lines_that_duckdb_would_not_read_are_given_a_bound(
    name: str, length: int, is_long: bool, tmp_path: Path
) -> None:
    lines = [f"9,{number},3,978300762,{'x' * length}" for number in range(1 + 5_000_000 // length)]
    path = write(tmp_path / name, "userId,movieId,rating,timestamp,review\n" + "\n".join(lines))
    with sql.connect(load_settings(), tmp_path) as connection:
        table = rating_file(connection, path).table
    assert table is not None
    assert table.longest >= length if is_long else table.longest == 0


# ---- which files


def test_hidden_files_folders_and_files_still_being_written_are_left(tmp_path: Path) -> None:
    for name in (
        "b.csv",
        "a.csv",
        ".hidden.csv",
        "_SUCCESS",
        "c.csv.tmp",
        "d.csv.part",
        "e.tmp.csv",
    ):
        write(tmp_path / name, CSV)
    (tmp_path / "folder.csv").mkdir()
    assert [path.name for path in drop_files(tmp_path)] == ["a.csv", "b.csv", "e.tmp.csv"]


# ---- catalogues


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "movies.csv",
            'movieId,title,genres\n1,"Life, and ""more"" (1998)",Comedy|Drama\n2,Amélie (2001),\n',
        ),
        (
            "items.csv",
            'Title;ID;Item_ID;Category\n"Life, and ""more"" (1998)";9;1;Comedy|Drama\nAmélie (2001);9;2;\n',
        ),
        (
            "movies.csv.gz",
            'movieId,title,genres\n1,"Life, and ""more"" (1998)",Comedy|Drama\n2,Amélie (2001),\n',
        ),
        (
            "movies.dat",
            '1::Life, and "more" (1998)::Comedy|Drama\n2::Amélie (2001)::\n'.encode("latin-1"),
        ),
        ("movies.dat", '1::Life, and "more" (1998)::Comedy|Drama\n2::Amélie (2001)::\n'),
    ],
)
def test_every_catalogue_gives_ids_titles_and_groups(
    name: str, content: str | bytes, tmp_path: Path
) -> None:
    first, second = read_catalogue(write(tmp_path / name, content))
    assert first == ("1", 'Life, and "more" (1998)', "Comedy|Drama")
    assert second[:2] == ("2", "Amélie (2001)")
    assert not second[2]


def test_the_catalogue_of_movielens_100k_gives_genres_from_its_flags(tmp_path: Path) -> None:
    def line(number: int, title: str, *genres: str) -> str:
        flags = "|".join("1" if genre in genres else "0" for genre in U_ITEM_GENRES)
        return f"{number}|{title}|01-Jan-1995||http://example.com/?{number}|{flags}\n"

    text = line(1, '"Café", The (1995)', "Comedy", "Film-Noir", "Western") + line(267, "unknown")
    assert read_catalogue(write(tmp_path / "u.item", text.encode("latin-1"))) == [
        ("1", '"Café", The (1995)', "Comedy|Film-Noir|Western"),
        ("267", "unknown", ""),
    ]


def test_a_parquet_catalogue_is_read(tmp_path: Path) -> None:
    pd.DataFrame({"item_id": [1, 2], "name": ["One", "Two"]}).to_parquet(tmp_path / "items.parquet")
    assert read_catalogue(tmp_path / "items.parquet") == [("1", "One", None), ("2", "Two", None)]


def test_a_catalogue_without_titles_is_an_error_that_names_the_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"movies.csv.*'movieId', 'genres'.*title"):
        read_catalogue(write(tmp_path / "movies.csv", "movieId,genres\n1,Comedy\n"))


def test_columns_that_are_not_wanted_may_be_unnamed_or_repeated(store: Store) -> None:
    frame = pd.DataFrame({"userId": [7], "movieId": [42], "rating": [3.0]})
    frame.to_csv(store.landing / "with-index.csv")  # pandas' default: an unnamed first column
    (store.landing / "notes.csv").write_text("userId,note,movieId,note,rating\n8,a,42,b,4\n")
    outcome = run_task("ingest", store, load_settings(["rating_low=1", "rating_high=5"]), "night-1")
    assert (outcome["rows_taken"], outcome["rows_refused"]) == (2, 0)


def test_utf_16_is_named(store: Store) -> None:
    (store.landing / "a.csv").write_text("userId,movieId,rating\n7,42,3\n", encoding="utf-16")
    with pytest.raises(DataError, match="found text in UTF-16, expected UTF-8"):
        run_task("ingest", store, load_settings(), "night-1")
