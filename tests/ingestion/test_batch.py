"""Batches: each file is taken once; a run that is repeated gives the same batch."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.ingestion import GOOD, GOOD_ROWS, HEADER, counts, drop, failure, ingest, taken


def test_files_given_by_path_are_taken_beside_those_of_the_landing_folder(
    store: Store, tmp_path: Path
) -> None:
    drop(store, "b.csv", GOOD)
    elsewhere = tmp_path / "a.csv"
    elsewhere.write_text(HEADER + "9,90,2,1000000009\n")
    outcome = ingest(store, ratings=(elsewhere, store.landing / "b.csv"))
    assert taken(store) == [(9, 90, 2.0, 1000000009), *GOOD_ROWS]
    assert [(file["name"], file["rows_taken"]) for file in outcome["files"]] == [
        ("a.csv", 1),
        ("b.csv", 3),
    ]


def test_a_file_that_stays_in_the_landing_folder_is_taken_once(store: Store) -> None:
    drop(store, "a.csv", GOOD)
    ingest(store, "night-1")
    drop(store, "b.csv", HEADER + "9,90,2,1000000009\n")
    ingest(store, "night-2")
    assert taken(store, "night-1") == GOOD_ROWS
    assert taken(store, "night-2") == [(9, 90, 2.0, 1000000009)]


def test_the_same_content_under_another_name_is_left(store: Store) -> None:
    drop(store, "a.csv", GOOD)
    drop(store, "copy-of-a.csv", GOOD)
    assert counts(ingest(store, "night-1")) == (3, 3, 0)
    drop(store, "another-copy.csv", GOOD)
    assert counts(ingest(store, "night-2")) == (0, 0, 0)
    assert not taken(store, "night-2")


def test_new_content_under_the_same_name_is_taken(store: Store) -> None:
    drop(store, "a.csv", GOOD)
    ingest(store, "night-1")
    drop(store, "a.csv", GOOD.replace("1,10,4", "1,10,2"))  # of the same size
    ingest(store, "night-2")
    assert taken(store, "night-2") == [(1, 10, 2.0, 1000000000), *GOOD_ROWS[1:]]


def test_a_file_that_a_failed_run_saw_is_still_new(store: Store) -> None:
    drop(store, "a.csv", GOOD)
    bad = drop(store, "b.csv", "name,price\nx,2\n")
    failure(store, "night-1")
    bad.unlink()
    ingest(store, "night-2")
    assert taken(store, "night-2") == GOOD_ROWS


def read_batch(store: Store, run_key: str) -> dict[str, pa.Table]:
    folders = (store.ratings(run_key), store.rejected(run_key))
    return {
        f"{part.parent.parent.name}/{part.name}": pq.ParquetFile(part).read()
        for folder in folders
        for part in sorted(folder.glob("*"))
    }


@pytest.mark.parametrize("run_key", ["night-1", "night-2"])
@pytest.mark.parametrize("gone", [(), ("a.csv",), ("b.csv",), ("a.csv", "b.csv", "c.csv")])
def test_a_rerun_makes_the_same_batch_also_from_files_that_have_gone(
    run_key: str, gone: tuple[str, ...], two_nights: Store
) -> None:
    before = {key: read_batch(two_nights, key) for key in ("night-1", "night-2")}
    outcome = two_nights.required_outcome(run_key, "ingest")
    for name in gone:
        (two_nights.landing / name).unlink()
    again = ingest(two_nights, run_key)
    assert {key: read_batch(two_nights, key) for key in before} == before
    measured = {"seconds": 0, "peak_memory_mb": 0}
    assert again | measured == outcome | measured


def test_a_rerun_takes_a_file_that_came_since(two_nights: Store) -> None:
    before = taken(two_nights, "night-2")
    drop(two_nights, "d.csv", HEADER + "5,50,5,7\n")
    ingest(two_nights, "night-2")
    assert taken(two_nights, "night-2") == [*before, (5, 50, 5.0, 7)]


def test_a_rerun_of_the_only_night_judges_its_files_anew_by_the_settings(store: Store) -> None:
    drop(store, "a.csv", HEADER + "1,10,1,1\n2,10,5,2\n3,10,50,3\n")
    assert ingest(store)["scale"] == [1.0, 50.0]
    outcome = ingest(store, "night-1", "rating_high=5", "id_type=string")
    assert (outcome["scale"], counts(outcome)) == ([1.0, 5.0], (3, 2, 1))
    assert taken(store) == [("1", "10", 1.0, 1), ("2", "10", 5.0, 2)]


def test_a_file_corrected_in_place_is_read_again_by_a_rerun(store: Store, quick: Settings) -> None:
    drop(store, "ratings.csv", "userId,movieId,rating\n1,10,4\n1,11,1\n1,12,oops\n")
    run_task("ingest", store, quick, "night-1")
    drop(store, "ratings.csv", "userId,movieId,rating\n1,10,4\n1,12,2\n")
    assert counts(run_task("ingest", store, quick, "night-1")) == (2, 2, 0)
    assert [row[:3] for row in taken(store)] == [(1, 10, 4), (1, 12, 2)]


def test_a_rerun_reads_files_again_that_were_given_by_path(
    store: Store, tmp_path: Path, caplog: Any
) -> None:
    path = tmp_path / "given.csv"
    path.write_text("userId,movieId,rating\n1,10,4\n1,11,2\n")
    run_task("ingest", store, load_settings(), "night-1", ratings=[path])
    outcome = run_task("ingest", store, load_settings(["rating_high=3"]), "night-1")
    assert counts(outcome) == (2, 1, 1)  # judged by the new settings
    assert "is gone" not in caplog.text
