"""The landing folder: which files are there to be read, whatever their names."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.drops import drop_files
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.ingestion import (
    GOOD,
    GOOD_ROWS,
    HEADER,
    counts,
    drop,
    first_night,
    ingest,
    taken,
)
from tests.support.rating_files import (
    CSV,
    write,
)


def test_files_that_are_not_there_for_good_are_left(store: Store) -> None:
    for name in (".hidden.csv", "_SUCCESS", "b.csv.tmp", "c.csv.part"):
        drop(store, name, "half a li")
    drop(store, "a.csv", GOOD)
    assert len(ingest(store)["files"]) == 1
    assert taken(store) == GOOD_ROWS


@pytest.mark.parametrize("name", ["stars*.csv", "what?.csv", "[1].csv", "it's.csv"])
def test_names_of_files_are_no_patterns(store: Store, quick: Settings, name: str) -> None:
    drop(store, name, "userId,movieId,rating\n1,10,4\n")
    drop(store, "stars-and-more.csv", "userId,movieId,rating\n2,20,3\n")
    drop(store, "what1.csv", "userId,movieId,rating\n3,30,5\n")
    assert counts(run_task("ingest", store, quick, "night-1")) == (3, 3, 0)
    assert {row[0] for row in taken(store)} == {1, 2, 3}


def test_a_file_that_is_still_being_written_waits_for_the_next_run(
    store: Store, caplog: Any
) -> None:
    first_night(store)
    path = store.landing / "slow.csv"
    writer = f"""
import time
with open({str(path)!r}, "w") as file:
    print({HEADER.strip()!r}, file=file, flush=True)
    for user in range(10**6):
        print(f"{{user}},10,3,1", file=file, flush=True)
        time.sleep(0.05)
"""
    drop(store, "whole.csv", HEADER + "4,10,3,1\n")
    with subprocess.Popen([sys.executable, "-c", writer]) as process:
        try:
            while not path.exists() or path.stat().st_size < 100:
                time.sleep(0.01)
            assert counts(ingest(store, "night-1", "settle_seconds=0.5")) == (1, 1, 0)
        finally:
            process.kill()
    assert "slow.csv is still being written, so it is left for the next run" in caplog.text
    n_lines = path.read_text().count("\n") - 1
    assert ingest(store, "night-2", "settle_seconds=0.5")["rows_taken"] == n_lines


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
    (tmp_path / "_temporary").mkdir()
    write(tmp_path / "_temporary" / "a.csv", CSV)
    assert [path.name for path in drop_files(tmp_path)] == ["a.csv", "b.csv", "e.tmp.csv"]
