"""Paths in SQL: each names one file and gives no column, whatever characters it has."""

import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings

from cofi_jobs.core.errors import DataError
from cofi_jobs.store import sql
from cofi_jobs.store.open import open_store
from cofi_jobs.store.paths import readable_path, shown
from tests.support.names import NAMES, ODD_NAMES, REFUSED_NAMES

DECOYS = ("a0b", "a", "b", "x", "starsx", "whatx", "$")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files that the names would match as patterns."""
    folder = tmp_path_factory.mktemp("names")
    for name in DECOYS:
        (folder / name).mkdir()
        pq.write_table(pa.table({"user_id": [0]}), folder / name / f"{name}.parquet")
        (folder / name / f"{name}.csv").write_text("user_id\n0\n")
    return folder


def rows(relation: str) -> list[tuple[int, ...]]:
    return duckdb.execute(f"FROM {relation}").fetchall()


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_path_in_sql_is_that_one_file(folder: Path, name: str) -> None:
    path = folder / name / f"{name}.parquet"
    path.parent.mkdir(exist_ok=True)
    with duckdb.connect() as connection:
        assert sql.write_parquet(connection, "SELECT 7 AS user_id UNION ALL SELECT 8", path) == 2
    assert path.is_file()
    assert rows(sql.parquet([path, path])) == [(7,), (8,)] * 2
    assert rows(f"parquet_metadata({sql.file(path)})")[0][0] == str(path)
    text = path.with_suffix(".csv")
    text.write_text("user_id\n9\n")
    assert rows(sql.csv(text, {"header": "true"})) == [(9,)]


@settings(max_examples=60)
@given(name=NAMES)
@example(name="[a-b]*")
def test_any_name_is_read_or_refused(folder: Path, name: str) -> None:
    path = folder / name / f"{name}.parquet"
    if re.search(r"[\n\udcff\\]", name):
        with pytest.raises(DataError) as caught:
            sql.parquet([path])
        assert str(caught.value).encode().count(b"\n") == 0
        return
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"user_id": [7]}), path)
    assert rows(sql.parquet([path])) == [(7,)]


@pytest.mark.parametrize(("name", "problem"), REFUSED_NAMES.items())
def test_names_that_cannot_be_used_are_refused(tmp_path: Path, name: str, problem: str) -> None:
    for refuse in (readable_path, open_store, sql.file):
        with pytest.raises(DataError) as caught:
            refuse(tmp_path / name / "file")
        assert f"found {problem}" in str(caught.value)
        assert shown(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [("a\nb", "a\\nb"), ("\udcff", "\\xff"), ("é", "é"), ("a\\[", "a\\["), ("\x85", "\\x85")],
)
def test_a_path_is_shown_in_one_line(name: str, text: str) -> None:
    assert shown(name) == text
