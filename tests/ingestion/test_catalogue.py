"""Catalogues give ids, titles and groups."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion.csv_files import U_ITEM_GENRES
from tests.support.rating_files import read_catalogue, write


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "movies.csv",
            'movieId,title,genres\n1,"Life, and ""more"" (1998)",Comedy|Drama\n2,Amélie (2001),\n',
        ),
        (
            "items.csv",
            'Title;ID;Item_ID;Category\n"Life, and ""more"" (1998)";9;1;Comedy|Drama\nAmélie '
            "(2001);9;2;\n",
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


@pytest.mark.parametrize(
    ("header", "settings"),
    [
        ("ISBN,Book-Title,Book-Genre", ()),
        ("id,name,category", ()),
        ("product_id,Product Name,department", ()),
        ("Ware,title,genres", ("item_column=Nummer,Ware",)),
        ("item_id,title,genres", ("item_column=Nummer",)),
    ],
)
def test_the_columns_of_a_catalogue_have_many_names(
    header: str, settings: tuple[str, ...], tmp_path: Path
) -> None:
    path = write(tmp_path / "items.csv", f"{header}\n1,Heat,Crime\n")
    assert read_catalogue(path, *settings) == [("1", "Heat", "Crime")]


def test_a_catalogue_with_two_columns_of_ids_is_an_error_that_names_both(tmp_path: Path) -> None:
    path = write(tmp_path / "items.csv", "track_id,artist_id,title\n1,2,Hey\n")
    with pytest.raises(DataError, match=r"'artist_id', 'track_id'.*set item_column"):
        read_catalogue(path)
    assert read_catalogue(path, "item_column=artist_id") == [("2", "Hey", None)]


ITEMS = [
    {"item_id": 1, "title": "<b>One</b> &amp; more", "genres": ["Drama", "Sci|Fi"]},
    {"item_id": "007", "title": "x" * 10_000, "genres": "Drama|Comedy"},
    {"item_id": 3, "title": "Three", "genres": [{"id": 1, "name": "Drama"}, {"name": "Crime"}]},
    {"item_id": 4, "title": None},
]
ROWS = [
    ("1", "<b>One</b> &amp; more", "Drama|Sci/Fi"),
    ("007", "x" * 10_000, "Drama|Comedy"),
    ("3", "Three", "Drama|Crime"),
    ("4", None, None),
]


@pytest.mark.parametrize(
    "content",
    [
        "".join(json.dumps(item) + "\n" for item in ITEMS),
        json.dumps(ITEMS),
        json.dumps(ITEMS, indent=2),
        "no object\n" + "".join(json.dumps(item) + "\n" for item in ITEMS),
    ],
)
def test_a_catalogue_in_json_may_be_lines_or_an_array_with_lists_of_groups(
    content: str, tmp_path: Path
) -> None:
    assert read_catalogue(write(tmp_path / "items.json", content)) == ROWS


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (pa.array([["Drama", "Crime"], [], None]), ["Drama|Crime", "", None]),
        (pa.array([["Sci|Fi", None], ["a"], ["b"]], pa.large_list(pa.string())),
         ["Sci/Fi", "a", "b"]),
        (pa.array([[{"name": "Drama", "id": 1}], [], None]), ["Drama", "", None]),
        (pa.array([[1, 2], [], None]), ["1|2", "", None]),
        (pa.array(["Drama|Crime", "", None]).dictionary_encode(), ["Drama|Crime", "", None]),
    ],
)  # fmt: skip
def test_a_list_in_parquet_is_groups(
    groups: pa.Array, expected: list[str | None], tmp_path: Path
) -> None:
    table = pa.table({"id": ["1", "2", "3"], "title": ["a", "b", "c"], "genres": groups})
    pq.write_table(table, tmp_path / "items.parquet")
    assert [row[2] for row in read_catalogue(tmp_path / "items.parquet")] == expected
