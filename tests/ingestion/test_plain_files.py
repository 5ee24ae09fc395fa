"""Plain files: reading numbers gives what reading text gives, whatever is in the file."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from duckdb import DuckDBPyConnection
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion import staging
from cofi_jobs.ingestion.output import id_as
from cofi_jobs.ingestion.verdicts import Bounds
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import sql

HEADER = "userId,movieId,rating,timestamp\n"
SCALE = Bounds(low=0.5, high=5)
# What may be in a cell. Many look like a number to a reader of numbers, and are none, or another.
IDS = ["1", "23", "0", "120", "999999999999999999", "007", "00", "7.5", "7.", ".5", "1e2", "12e-1",
       "+7", "-5", "-0", "1_000", "0x10", "0b1", "", "abc", "a7", "7a", "NULL", "nan",
       "9223372036854775807", "9223372036854775808", "4,0", " 7", "7 ", "\t7", '"7"', "٣",
       "é"]  # fmt: skip
RATINGS = [
    "4",
    "4.0",
    "0.5",
    "5",
    "4.25",
    "05",
    "4,5",
    "99",
    "0.4",
    "-1",
    "nan",
    "inf",
    "1e0",
    "",
    "abc",
    " 4",
    '"4"',
]
TIMES = ["1000000000", "0", "-86400", "978300760250", "99999999999", "100000000000", "978300760.25",
         "1e9", "", "2000-12-31", "2000-12-31T22:12:40Z", "infinity", "01", "soon"]  # fmt: skip
PLAIN = ("1,10,4,1000000000", "23,10,0.5,999999999", "120,20,4.0,1000000001")
ODD = [
    "17,42",
    "1,2,3,4,5",
    "",
    "1",
    ",,,",
    "1,10,4,1000000000,",
    '1,"10,4,1000000000',
    "\r",
    "1,10,4,1000000000\r",
]
lines = st.one_of(
    st.sampled_from(PLAIN),
    st.sampled_from(ODD),
    st.tuples(*map(st.sampled_from, (IDS, IDS, RATINGS, TIMES))).map(",".join),
    st.tuples(
        st.sampled_from(["1", "23"]),
        st.just("10"),
        st.sampled_from(RATINGS),
        st.sampled_from(["5", "1000000005"]),
    ).map(",".join),
)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBPyConnection]:
    """One for all files, as ingest has it."""
    with sql.connect(load_settings(), tmp_path_factory.mktemp("staging")) as connection:
        staging.open_database(connection, load_settings())
        yield connection


def read(
    connection: DuckDBPyConnection, path: Path, plainly: bool, bounds: Bounds = SCALE
) -> tuple[bool, list[Any], list[Any]]:
    """Whether a file was read as plain, its good rows, and its refused ones, or the error."""
    taken = path.with_name("taken.parquet")
    target = taken if plainly else None
    try:
        staged = staging.stage(connection, 0, path, load_settings(), bounds, target)
    except DataError as error:
        return False, [], [str(error)]
    good = f"FROM {staged.view} WHERE reason IS NULL"
    ids = ", ".join(id_as(column, "string") for column in ("user_id", "item_id"))
    rows = f"SELECT {ids}, value, epoch_us(time) {good}"
    if staged.plain:
        assert connection.execute(f"SELECT count(*) {good}").fetchall() == [(0,)]
        columns = "user_id::VARCHAR, item_id::VARCHAR, rating, epoch_us(timestamp)"
        rows = f"SELECT {columns} FROM {sql.file(taken)}"
    rejected = connection.execute(
        "SELECT row, reason, raw, user_id, item_id, user_number, item_number "
        f"FROM {staged.view} WHERE reason IS NOT NULL"
    ).fetchall()
    return staged.plain is not None, connection.execute(rows).fetchall(), rejected


def write(folder: Path, content: str, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plain")


@pytest.mark.slow
@given(st.lists(lines, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
@example(
    ["1,10,4,1000000000", "17,42", "2,10,99,5", "abc,10,4,5", ",10,4,5", "1,2,3,4,5", "3,10,4,5"],
    "\n",
    True,
)
@example(["2,10,99,5", *[",10,4,5"] * 6], "\n", True)
@example(["1,10,4,1000000000", "007,10,4,1000000000"], "\n", True)
@example(["1,10,4,1000000000", "1e2,10,4,1000000000"], "\n", True)
@settings(max_examples=60, deadline=None)
def test_a_file_is_read_the_same_as_numbers_and_as_text(
    connection: DuckDBPyConnection, folder: Path, body: list[str], newline: str, ends: bool
) -> None:
    path = write(folder, newline.join([HEADER.strip(), *PLAIN, *body]) + newline * ends)
    found, expected = read(connection, path, plainly=True), read(connection, path, plainly=False)
    assert found[1:] == expected[1:]


BAD = ["17,42", "1,10,99,5", "1,10,abc,5", "1,10,,5", ",10,4,5", "1,10,4,5,6"]


@pytest.mark.parametrize(
    "name", ["a.csv", "a.csv.gz", "a.tsv", "u.data", "ratings.dat", "semicolons.csv"]
)
def test_a_file_of_numbers_with_a_few_bad_lines_is_plain(
    name: str, tmp_path: Path, connection: DuckDBPyConnection
) -> None:
    separator = {"a.tsv": "\t", "u.data": "\t", "ratings.dat": "::", "semicolons.csv": ";"}.get(
        name, ","
    )
    header = "" if name in ("u.data", "ratings.dat") else HEADER
    path = write(
        tmp_path, (header + "\n".join([*PLAIN, *BAD, *PLAIN])).replace(",", separator), name
    )
    found = read(connection, path, plainly=True)
    assert found[0] is True
    assert found[1:] == read(connection, path, plainly=False)[1:]
    assert (len(found[1]), len(found[2])) == (2 * len(PLAIN), len(BAD))


@pytest.mark.parametrize("value", ["0", "0.0", "4", "99"])
def test_rows_that_mean_no_rating_are_rejected_as_such(
    value: str, tmp_path: Path, connection: DuckDBPyConnection
) -> None:
    bounds = Bounds(low=0, high=5, not_rated=(0, 4, 99))
    rated = ["1,10,3,1000000000", "2,10,5,1000000007"]
    path = write(tmp_path, HEADER + "\n".join([rated[0], f"1,11,{value},soon", rated[1]]))
    found = read(connection, path, plainly=True, bounds=bounds)
    assert found[0] is True
    assert found[1:] == read(connection, path, plainly=False, bounds=bounds)[1:]
    assert [row[2] for row in found[1]] == [3, 5]
    assert [row[1] for row in found[2]] == ["not rated"]


@pytest.mark.parametrize(
    "line",
    [*(f"{cells},1000000005" for cells in (
        "007,10,4", "7.5,10,4", "1e2,10,4", "1,+7,4", "1,-0,4", "1_0,10,4", "0x10,10,4",
        '"1",10,4', "ann,10,4", '1,10,"4,5"')),
     *(f"1,10,4,{time}" for time in ("978300760250", "2000-12-31", "", "5", "4102444800"))],
)  # fmt: skip
def test_a_file_with_a_good_line_of_another_kind_is_not_plain(
    line: str, tmp_path: Path, connection: DuckDBPyConnection
) -> None:
    path = write(tmp_path, HEADER + "\n".join([*PLAIN, line]))
    found = read(connection, path, plainly=True)
    assert found[0] is False
    assert len(found[1]) + len(found[2]) == len(PLAIN) + 1


@pytest.mark.slow
def test_rows_of_a_large_plain_file_are_kept_in_order(
    tmp_path: Path, connection: DuckDBPyConnection
) -> None:
    n = 1_000_000
    rng = np.random.default_rng(0)
    items, stars = (
        rng.integers(0, 5000, n),
        rng.choice(["0.5", "3", "4.0", "99"], n, p=[0.3, 0.3, 0.3999, 0.0001]),
    )
    rows = [
        f"{user},{item},{star},{10**9 + user}"
        for user, (item, star) in enumerate(zip(items, stars, strict=True))
    ]
    path = write(tmp_path, HEADER + "\n".join(rows))
    is_plain, taken, refused = read(connection, path, plainly=True)
    assert is_plain
    assert [int(row[0]) for row in taken] == np.flatnonzero(stars != "99").tolist()
    assert [row[0] - 1 for row in refused] == np.flatnonzero(stars == "99").tolist()
