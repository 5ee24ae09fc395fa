"""CSV-like files: quotes, encodings, unnamed columns."""

from pathlib import Path

import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.rating_files import read, write


def test_cells_with_separators_quotes_and_line_ends_are_kept(tmp_path: Path) -> None:
    text = 'userId,movieId,rating\n"Smith, J","the ""best""\none",3\nÉric,日本,4\n'
    assert read(write(tmp_path / "a.csv", text)) == [
        ("Smith, J", 'the "best"\none', "3", None),
        ("Éric", "日本", "4", None),
    ]


def test_a_latin_1_file_is_read_as_such(tmp_path: Path) -> None:
    text = "userId;movieId;rating\nJosé;Amélie;3\n".encode("latin-1")
    assert read(write(tmp_path / "a.csv", text)) == [("José", "Amélie", "3", None)]


def test_utf_16_is_named(store: Store) -> None:
    (store.landing / "a.csv").write_text("userId,movieId,rating\n7,42,3\n", encoding="utf-16")
    with pytest.raises(DataError, match="found text in UTF-16, expected UTF-8"):
        run_task("ingest", store, load_settings(), "night-1")
