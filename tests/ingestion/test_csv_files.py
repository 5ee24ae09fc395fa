"""CSV-like files: quotes, encodings, unnamed columns."""

from pathlib import Path

import pytest

from tests.support.rating_files import read, read_catalogue, refusal, write


def test_cells_with_separators_quotes_and_line_ends_are_kept(tmp_path: Path) -> None:
    text = 'userId,movieId,rating\n"Smith, J","the ""best""\none",3\nÉric,日本,4\n'
    assert read(write(tmp_path / "a.csv", text)) == [
        ("Smith, J", 'the "best"\none', "3", None),
        ("Éric", "日本", "4", None),
    ]


def test_a_latin_1_file_is_read_as_such(tmp_path: Path) -> None:
    text = "userId;movieId;rating\nJosé;Amélie;3\n".encode("latin-1")
    assert read(write(tmp_path / "a.csv", text)) == [("José", "Amélie", "3", None)]


CELLS = "userId,movieId,rating\nanna,10,4\nben,20,1\n"


@pytest.mark.parametrize(
    ("text", "headless"),
    [
        ("UserID::MovieID::Rating::Timestamp\n1::10::4::5\n", False),
        ("MovieID::UserID::Rating\n10::1::4\n", False),
        ("1::10::4::5\n", True),
        ("anna::10::4::5\n", True),
        ("1\t10\t4\t5\n", True),
    ],
)
def test_movielens_files_are_read_with_and_without_a_header(
    text: str, headless: bool, tmp_path: Path
) -> None:
    [row] = read(write(tmp_path / "ratings.dat", text), "user_id, item_id, rating")
    assert row == ("anna" if "anna" in text else "1", "10", "4")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("MovieID::Title::Genres\n1::Heat::Crime\n", "Heat"),
        ("1::Time::Drama\n", "Time"),
        ("1::Item::Drama\n", "Item"),
    ],
)
def test_a_film_may_have_the_name_of_a_column(text: str, title: str, tmp_path: Path) -> None:
    [(item_id, name, _)] = read_catalogue(write(tmp_path / "movies.dat", text))
    assert (item_id, name) == ("1", title)


@pytest.mark.parametrize(
    "line",
    [
        "7,42,3.5,978300760",
        "anna@example.com,42,3.5",
        "B00004CK40;B00004CK41;good",
        "123e4567-e89b-12d3-a456-426614174000|x|y",
        "x,y,2001-02-03",
        "1::2::3::4::5::6",
        "1\t2\t3\t4\t5\t6",
        "7 42 3",
    ],
)
def test_a_file_without_a_header_is_named_without_its_data(line: str, tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "a.csv", f"{line}\n{line}\n"))
    assert "found no header" in message
    assert not [cell for cell in line.split(",") if len(cell) > 3 and cell in message]


def test_a_column_that_a_setting_names_makes_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "2024,who,what\n4,anna,x\n")
    named = ["rating_column=2024", "user_column=who", "item_column=what"]
    assert read(path, overrides=named) == [("anna", "x", "4", None)]


@pytest.mark.parametrize("above", ["\n", "\r\n\r\n", "sep=,\n", "  \n\n"])
def test_blank_lines_and_the_separator_line_of_excel_may_stand_above_the_header(
    above: str, tmp_path: Path
) -> None:
    assert read(write(tmp_path / "a.csv", above + CELLS), "user_id, rating") == [
        ("anna", "4"),
        ("ben", "1"),
    ]


def test_a_header_may_have_thousands_of_columns_and_very_long_names(tmp_path: Path) -> None:
    names = ["x" * 140_000, *map(str, range(3000)), "userId", "movieId", "rating"]
    text = ",".join(names) + "\n" + "," * 3001 + "7,42,3\n"
    assert read(write(tmp_path / "a.csv", text)) == [("7", "42", "3", None)]


@pytest.mark.parametrize("header", ["x" * 2_000_000, ",".join(map(str, range(20_000)))])
def test_an_endless_header_is_refused(header: str, tmp_path: Path) -> None:
    assert len(refusal(write(tmp_path / "a.csv", header + "\n1,2\n"))) < 500
