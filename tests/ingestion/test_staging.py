"""Staging: files of every size and shape, within the limit of memory."""

import gzip

import pytest

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.ingestion import (
    HEADER,
    counts,
    drop,
    first_night,
    ingest,
    refused,
    rows,
    taken,
)
from tests.support.memory import ingest_alone


def test_malformed_lines_of_one_file_are_not_counted_with_the_next(store: Store) -> None:
    first_night(store)
    drop(store, "a.csv", HEADER + "1,10\n4,10,3,1\n")
    drop(store, "b.csv", HEADER + "2,20\n5,10,3,1\n")
    assert [counts(file) for file in ingest(store)["files"]] == [(2, 1, 1), (2, 1, 1)]
    assert [raw for _, raw in refused(store)] == ["1,10", "2,20"]


@pytest.mark.slow
def test_a_file_larger_than_the_memory_limit_is_taken_within_it(store: Store) -> None:
    n_rows, review = 200_000, "lorem ipsum dolor sit amet " * 100
    path = store.landing / "reviews.csv"
    with path.open("w") as file:
        file.write("userId,movieId,rating,review\n")
        file.writelines(
            f"{row},{row % 1000},{1 + row % 5},{row} {review}\n" for row in range(n_rows)
        )
    size_in_kb = path.stat().st_size // 1024
    ingested = ingest_alone(store.root)
    path.unlink()
    assert ingested.n_taken == n_rows
    assert ingested.peak_kb < 0.9 * size_in_kb


def test_a_malformed_line_is_found_by_its_number(store: Store) -> None:
    drop(store, "a.csv", "userId,movieId,rating\n1,10,4\n1,11\n1,12,bad\n1,13,2\n")
    run_task("ingest", store, load_settings(), "night-1")
    found = {row["raw"]: row["row"] for row in rows(store, store.rejected("night-1"))}
    assert found == {"1,11": 3, "1,12,bad": 2}


@pytest.mark.slow
@pytest.mark.parametrize("rating", ["3", "bad"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.csv.gz"])
def test_a_row_of_100_mb_is_a_row_like_the_others(name: str, rating: str, store: Store) -> None:
    first_night(store)
    rows = [
        (1, "4", "fine"),
        (2, rating, "x" * 100_000_000),
        (3, "5", "good"),
        (4, "2", "x" * 3_000_000),
        (5, "1", ""),
    ]
    if "csv" in name:
        text = "userId,movieId,rating,review\n" + "".join(
            f"{user},10,{stars},{more}\n" for user, stars, more in rows
        )
    else:
        text = "".join(
            f'{{"user":{user},"item":10,"rating":"{stars}","review":"{more}"}}\n'
            for user, stars, more in rows
        )
    drop(store, name, gzip.compress(text.encode(), 1) if name.endswith(".gz") else text)
    outcome = ingest(store)
    bad = int(rating == "bad")
    assert counts(outcome) == (5, 5 - bad, bad)
    assert [row[0] for row in taken(store)] == [row[0] for row in rows if row[1] != "bad"]
    assert [len(raw) > 100_000_000 for _, raw in refused(store)] == [True] * bad


def test_a_record_of_many_lines_and_mb_does_not_go_unnoticed(store: Store) -> None:
    first_night(store)
    review = ("lorem ipsum" * 1000 + "\n") * 400
    drop(
        store,
        "a.csv",
        f'userId,movieId,rating,review\n1,10,4,fine\n2,10,3,"{review}"\n3,10,5,good\n',
    )
    assert ingest(store)["rows_read"] == 3
