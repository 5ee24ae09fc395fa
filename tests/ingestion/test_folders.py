"""Folders in the landing folder: a file in parts, as Spark, Hive and pandas write it."""

import gzip
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from cofi_jobs.ingestion.landing import settled, state
from cofi_jobs.store.drops import drops
from cofi_jobs.store.store import Store
from tests.support.data import settle
from tests.support.ingestion import GOOD, GOOD_ROWS, HEADER, counts, drop, failure, ingest, taken

LINES = GOOD.removeprefix(HEADER).splitlines(keepends=True)
Files = Mapping[str, str | bytes]
FRAME = pd.DataFrame(
    {"user_id": [1, 2, 3], "item_id": [10, 20, 10], "rating": [4, 1, 5], "day": ["a", "b", "b"]}
)


def fill(folder: Path, files: Files) -> Path:
    """A folder with files as if written a minute ago."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        settle(path)
    return folder


SPARK: Files = {
    "part-00000-2f5c-c000.csv": HEADER + LINES[0],
    "part-00001-2f5c-c000.csv": HEADER + LINES[1] + LINES[2],
    ".part-00000-2f5c-c000.csv.crc": b"crc\x00\x00\x02\x00\xff",
    ".part-00001-2f5c-c000.csv.crc": b"crc\x00\x00\x02\x00\xff",
    "_SUCCESS": "",
    "._SUCCESS.crc": b"crc\x00",
}
FOLDERS: dict[str, Files] = {
    "Spark": SPARK,
    "without _SUCCESS": {"a.csv": HEADER + LINES[0], "b.csv": HEADER + LINES[1] + LINES[2]},
    "with an empty part": {"part-0.csv": "", "part-1.csv": GOOD, "_SUCCESS": ""},
    "packed": {
        "0.csv.gz": gzip.compress((HEADER + LINES[0]).encode()),
        "1.csv": HEADER + LINES[1] + LINES[2],
    },
    "Hive's folders": {
        "user_id=9/date=2024-01-01/0.csv": HEADER + LINES[0],
        "_day=1/rating=3/0.csv": HEADER + LINES[1],
        "_day=2/rating=3/0.csv": HEADER + LINES[2],
        "_delta/0.csv": HEADER + "9,9,5,1\n",
    },
    "hidden files": {"a.csv": GOOD, ".b.csv": "x", "_c.csv": "x", "d.csv.tmp": "x", "e.part": "x"},
}


@pytest.mark.parametrize("files", FOLDERS.values(), ids=FOLDERS)
@pytest.mark.parametrize("place", ["landing", "--ratings"])
def test_a_folder_is_read_as_one_file(
    store: Store, tmp_path: Path, files: Files, place: str
) -> None:
    folder = fill((store.landing if place == "landing" else tmp_path) / "ratings.csv", files)
    outcome = ingest(store, ratings=() if place == "landing" else (folder,))
    assert sorted(taken(store)) == GOOD_ROWS
    assert all(file["name"].startswith("ratings.csv/") for file in outcome["files"])
    assert counts(ingest(store, "night-2")) == (0, 0, 0)


@pytest.mark.parametrize("columns", [["day"], ["item_id", "day"], ["rating", "timestamp"]])
def test_names_of_partitions_are_no_columns(store: Store, columns: list[str]) -> None:
    """As pandas and Spark write a dataset in parts; here the names say something else."""
    frame = FRAME.assign(**dict.fromkeys(columns, 99)).to_dict("series")
    more = pd.DataFrame(frame).rename(columns={name: f"part_{name}" for name in columns})
    parts = [f"part_{name}" for name in columns]
    pd.concat([FRAME, more[parts]], axis=1).to_parquet(
        store.landing / "r.parquet", partition_cols=parts
    )
    for name in columns:
        for path in sorted((store.landing / "r.parquet").rglob(f"part_{name}=*")):
            path.rename(path.with_name(path.name.removeprefix("part_")))
    ingest(store, "night-1", "settle_seconds=0")
    assert sorted(row[:3] for row in taken(store)) == [(1, 10, 4.0), (2, 20, 1.0), (3, 10, 5.0)]


def test_a_folder_dropped_again_is_skipped_and_a_new_part_is_read(store: Store) -> None:
    folder = fill(store.landing / "ratings.csv", SPARK)
    assert counts(ingest(store)) == (3, 3, 0)
    shutil.copytree(folder, store.landing / "again.csv")
    assert counts(ingest(store, "night-2")) == (0, 0, 0)
    fill(folder, {"part-00002.csv": HEADER + "4,20,2,1000000003\n"})
    assert counts(ingest(store, "night-3")) == (1, 1, 0)
    assert taken(store, "night-3") == [(4, 20, 2.0, 1000000003)]


def test_equal_parts_of_a_folder_all_count_and_its_copy_does_not(store: Store) -> None:
    """Events add up: two parts with the same like are two likes."""
    parts = {"0.csv": "user,item\na,x\nb,y\n", "1.csv": "user,item\na,x\nb,y\n"}
    folder = fill(store.landing / "r.csv", parts)
    outcome = ingest(store)
    assert counts(outcome) == (4, 4, 0)
    shutil.copytree(folder, store.landing / "again.csv")
    assert counts(ingest(store, "night-2")) == (0, 0, 0)
    (folder / "0.csv").unlink()
    shutil.rmtree(store.landing / "again.csv")
    rerun = ingest(store)
    assert counts(rerun) == (4, 4, 0), "what was taken from the part that is gone is kept"
    assert len(taken(store)) == 4
    assert len({file["part"] for file in rerun["files"]}) == 2


def test_rejected_rows_name_their_part(store: Store) -> None:
    fill(store.landing / "r.csv", {"0.csv": GOOD, "1.csv": HEADER + "1,10,4,\n1,10,bad,\n"})
    ingest(store)
    [part] = store.rejected("night-1").iterdir()
    [row] = pd.read_parquet(part).to_dict("records")
    assert (row["file"], row["row"]) == ("r.csv/1.csv", 2)


INCOMPLETE: dict[str, tuple[Files, str]] = {
    "empty": ({}, "has no files yet"),
    "only hidden files": ({"_SUCCESS": "", ".a.csv": GOOD}, "has no files yet"),
    "Spark's temporary folder": (
        {"a.csv": GOOD, "_temporary/0/task_1/b.csv": GOOD},
        "is still being written (it has a folder _temporary)",
    ),
    "in a partition": (
        {"day=1/a.csv": GOOD, "day=2/_temporary/b.csv": GOOD},
        "is still being written (it has a folder _temporary)",
    ),
}


@pytest.mark.parametrize(("files", "why"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_an_incomplete_folder_waits_for_the_next_run(
    store: Store, files: Files, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    drop(store, "good.csv", GOOD)
    (store.landing / "ratings.csv").mkdir()
    folder = fill(store.landing / "ratings.csv", files)
    assert counts(ingest(store)) == (3, 3, 0)
    assert f"{folder} {why}, so it is left for the next run" in caplog.text
    assert f"{folder} {why}, expected a folder" in failure(store, "night-2", ratings=(folder,))


def test_a_temporary_folder_without_files_counts_too(store: Store) -> None:
    folder = fill(store.landing / "ratings.csv", {"a.csv": GOOD})
    (folder / "_temporary").mkdir()
    assert settled([folder], 0) == []


def touch(path: Path, seconds_ago: float) -> None:
    os.utime(path, ns=(time.time_ns() - int(seconds_ago * 1e9),) * 2)


def test_a_folder_that_its_writer_finished_is_not_waited_for(store: Store) -> None:
    folder = fill(store.landing / "ratings.csv", SPARK)
    for path in folder.iterdir():
        touch(path, 2)
    touch(folder / "_SUCCESS", 1)
    (folder / "._SUCCESS.crc").unlink()
    start = time.monotonic()
    assert settled(drops(store.landing), 500) == [folder]
    assert time.monotonic() - start < 100
    touch(folder / "part-00001-2f5c-c000.csv", 0)  # `cp -r` copies _SUCCESS first
    assert not state(folder).is_done


def test_a_part_that_is_still_being_written_holds_the_folder_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = fill(store.landing / "ratings.csv", {"a.csv": GOOD, "b.csv": GOOD})
    touch(folder / "b.csv", 0)
    monkeypatch.setattr(time, "sleep", lambda seconds: fill(folder, {"c.csv": HEADER}))
    assert settled([folder], 10) == []
    assert f"{folder} is still being written, so it is left for the next run" in caplog.text


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("_delta_log/0.json", "Delta Lake"),
        (".hoodie/x", "Hudi"),
        ("metadata/version-hint.text", "Iceberg"),
    ],
)
def test_tables_with_a_log_are_refused(store: Store, name: str, table: str) -> None:
    folder = fill(store.landing / "ratings", {"a.csv": GOOD, name: "1"})
    assert f"{folder}: found a table of {table}" in failure(store)
    assert f"found a table of {table}" in failure(store, ratings=(folder,))


def test_a_folder_without_ratings_is_named_by_its_part(store: Store) -> None:
    folder = fill(store.landing / "prices", {"a.csv": "shop,price\n1,2\n"})
    assert f"{folder}/a.csv: found the columns" in failure(store)


def test_a_rerun_keeps_the_parts_of_a_folder_that_has_gone(store: Store) -> None:
    folder = fill(store.landing / "ratings.csv", SPARK)
    ingest(store)
    shutil.rmtree(folder)
    assert counts(ingest(store)) == (3, 3, 0)
    assert taken(store) == GOOD_ROWS


def test_what_is_no_file_is_not_opened(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    folder = fill(store.landing / "ratings.csv", SPARK)
    (folder / "broken.csv").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.csv")
    os.mkfifo(store.landing / "pipe.csv")
    assert counts(ingest(store)) == (3, 3, 0)
    assert f"{store.landing}/pipe.csv is no file" in caplog.text


def test_a_link_to_itself_is_left_for_a_person(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    drop(store, "a.csv", GOOD)
    (store.landing / "round.csv").symlink_to("round.csv")
    assert counts(ingest(store)) == (3, 3, 0)
    assert f"{store.landing}/round.csv is no file" in caplog.text


def test_a_linked_folder_is_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "elsewhere", SPARK)
    monkeypatch.setenv("COFI_SOURCE_ROOTS", str(folder))
    (store.landing / "ratings.csv").symlink_to(folder)
    assert counts(ingest(store)) == (3, 3, 0)


MILLISECONDS = "1,20,3,1000000000000\n2,20,3,1000000001000\n3,20,3,1000000002000\n"


def test_the_unit_of_times_is_that_of_all_parts(store: Store) -> None:
    """By itself the first part has an order, and the second nothing but implausible times."""
    parts = {"0.csv": "1,10,4,3\n", "1.csv": "2,10,4,400000000000\n", "2.csv": MILLISECONDS}
    fill(store.landing / "r.csv", {name: HEADER + rows for name, rows in parts.items()})
    outcome = ingest(store, "night-1", "max_rejected=0.5")
    assert counts(outcome) == (5, 4, 1)
    assert outcome["reasons"] == {"timestamp is before 1980": 1}
    assert (2, 10, 4.0, 400000000) in taken(store)


def test_malformed_lines_of_each_part_are_rejected_whatever_the_unit_of_times(store: Store) -> None:
    """By itself the first part has an order. It is no UTF-8, so it is read as a copy."""
    parts = {"0.csv": "Zoë,10,4,3\n1,2,3,4,5\n", "1.csv": "2,10\n", "2.csv": MILLISECONDS}
    contents = {name: (HEADER + rows).encode("cp1252") for name, rows in parts.items()}
    fill(store.landing / "r.csv", contents)
    outcome = ingest(store, "night-1", "id_type=string", "rating_low=1", "rating_high=5")
    assert counts(outcome) == (6, 3, 3)
    assert outcome["reasons"] == {"timestamp is before 1980": 1, "line is malformed": 2}


def test_a_folder_with_mostly_implausible_times_is_named(store: Store) -> None:
    parts = {"0.csv": "1,10,4,1000000000\n", "1.csv": "2,10,4,-1\n2,30,4,-1\n"}
    folder = fill(store.landing / "r.csv", {n: HEADER + rows for n, rows in parts.items()})
    message = failure(store)
    assert f"{folder}: found 2 of 3 times in the column 'timestamp' to be implausible" in message
    assert "such as -1;" in message
