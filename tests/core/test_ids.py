"""Ids: the rule in Python and the rule in DuckDB give the same for every text."""

import sys
import unicodedata
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cofi_jobs.core.ids import BLANKS, MACRO, clean_id

SPACES = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
pieces = st.one_of(
    st.sampled_from(
        [
            *SPACES,
            "\u200b",
            "\ufeff",
            "\u180e",
            "-",
            "+",
            ".0",
            ".00",
            ".",
            "0",
            "17",
            "007",
            "٣",
            "e",
        ]
    ),
    st.text(max_size=2),
)
texts = st.lists(pieces, max_size=6).map("".join)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(MACRO)
        yield connection


def in_duckdb(database: duckdb.DuckDBPyConnection, cells: list[str]) -> list[str]:
    database.register("cells", pa.table({"cell": pa.array(cells, pa.string())}))
    return [text for (text,) in database.execute("SELECT clean_id(cell) FROM cells").fetchall()]


@pytest.mark.parametrize(
    ("cell", "meaning"),
    [
        ("anna", "anna"),
        ("  anna ", "anna"),
        ("\u00a0anna\u3000", "anna"),
        ("anna\t", "anna\t"),
        (" \tanna", "\tanna"),
        ("anna\n", "anna\n"),
        ("anna\r", "anna\r"),
        ("an na", "an na"),
        ("17.0", "17"),
        (" -17.0 ", "-17"),
        ("17.0\n", "17.0\n"),
        ("007", "007"),
        ("007.0", "007"),
        ("17.00", "17.00"),
        ("17.5", "17.5"),
        ("1e2.0", "1e2.0"),
        ("+17.0", "+17.0"),
        ("٣.0", "٣.0"),
        (".0", ".0"),
        ("  ", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_the_meaning_of_a_cell(cell: str, meaning: str, database) -> None:
    assert clean_id(cell) == meaning
    assert in_duckdb(database, [cell]) == [meaning]


@given(st.lists(texts, max_size=20))
@example(["\tanna\u00a0", "-17.0\n", "\u200717.0\u2007"])
@settings(max_examples=100, deadline=None)
def test_python_and_duckdb_agree(database, cells: list[str]) -> None:
    assert in_duckdb(database, cells) == [clean_id(cell) for cell in cells]


@pytest.mark.slow
def test_they_agree_on_every_character_around_an_id(database) -> None:
    characters = [
        chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) != "Cs"
    ]
    cells = [f"{character}17.0{character}" for character in characters]
    assert in_duckdb(database, cells) == [clean_id(cell) for cell in cells]


def test_blanks_are_the_space_separators_of_unicode() -> None:
    every = (chr(code) for code in range(sys.maxunicode + 1))
    assert [c for c in every if unicodedata.category(c) == "Zs"] == list(BLANKS)
    assert "\t" not in BLANKS


@given(texts)
def test_a_clean_id_stays_as_it_is(cell: str) -> None:
    assert clean_id(clean_id(cell)) == clean_id(cell)
