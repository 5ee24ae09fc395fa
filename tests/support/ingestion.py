"""What tests of ingest share: dropped files, what was taken of them, what was rejected."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cofi_jobs.core.errors import DataError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import layout
from cofi_jobs.store.removal import remove_run
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.data import settle, write_ratings

HEADER = "userId,movieId,rating,timestamp\n"


GOOD = HEADER + "1,10,4,1000000000\n2,20,1,1000000001\n3,10,5,1000000002\n"


GOOD_ROWS = [(1, 10, 4.0, 1000000000), (2, 20, 1.0, 1000000001), (3, 10, 5.0, 1000000002)]


def drop(store: Store, name: str, content: str | bytes) -> Path:
    path = store.landing / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return settle(path)


def ingest(
    store: Store, run_key: str = "night-1", *overrides: str, ratings: tuple[Path, ...] = ()
) -> dict[str, Any]:
    return run_task(
        "ingest", store, load_settings(["max_rejected=1", *overrides]), run_key, ratings=ratings
    )


def take_long_ago(store: Store, key: str, ratings: pd.DataFrame) -> None:
    """The batch of a run that is no longer under way: that would hold compaction up."""
    write_ratings(store.landing / f"{key}.csv", ratings)
    run_task("ingest", store, load_settings(["rating_low=1", "rating_high=5"]), key)
    remove_run(store, key)


def first_night(store: Store) -> None:
    """A store that knows integer ids and a scale of 1 to 5, with an empty landing folder."""
    path = drop(store, "first-night.csv", GOOD)
    ingest(store, "night-0")
    path.unlink()


def rows(store: Store, folder: Path) -> list[dict[str, Any]]:
    """The rows of a batch's folder, in order of arrival."""
    files = store.required_outcome(folder.name.removeprefix("batch="), "ingest")["files"]
    parts = [folder / file["part"] for file in files]
    return [
        row for part in parts if part.exists() for row in pq.ParquetFile(part).read().to_pylist()
    ]


def taken(store: Store, run_key: str = "night-1") -> list[tuple[Any, ...]]:
    """The rows of a batch in order of arrival, times in seconds since 1970."""
    return [
        (
            row["user_id"],
            row["item_id"],
            row["rating"],
            row["timestamp"] and row["timestamp"].timestamp(),
        )
        for row in rows(store, store.ratings(run_key))
    ]


def refused(store: Store, run_key: str = "night-1") -> list[tuple[str, str]]:
    return [(row["reason"], row["raw"]) for row in rows(store, store.rejected(run_key))]


def counts(outcome: dict[str, Any]) -> tuple[int, int, int]:
    return outcome["rows_read"], outcome["rows_taken"], outcome["rows_refused"]


def snapshot(store: Store) -> dict[str, bytes]:
    """Everything in the store that readers or later runs look at.

    Without the order of runs: a run that fails has its place, too.
    """
    kept = (
        path
        for path in store.root.rglob("*")
        if path.is_file() and not path.name.startswith((".lock", layout.ORDER))
    )
    return {str(path): path.read_bytes() for path in kept if not path.name.endswith(".failed.json")}


def failure(
    store: Store, run_key: str = "night-1", overrides: tuple[str, ...] = (), **inputs: Any
) -> str:
    """The message of an ingest that fails. Such an ingest leaves the store as it was."""
    before = snapshot(store)
    with pytest.raises(DataError) as caught:
        ingest(store, run_key, *overrides, **inputs)
    assert snapshot(store) == before
    assert not list(store.root.rglob(".tmp-*"))
    assert "\n" not in str(caught.value)
    return str(caught.value)
