"""Stores to tune on, and settings that make tuning quick."""

from pathlib import Path
from typing import Any

import pandas as pd

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.data import write_ratings

# "0" for all tests, also for the processes that they start: a first run's search takes its time,
# however few the ratings are. Tests of the search ask for it.
WITHOUT_SEARCH = "COFI_FIRST_TUNING_MINUTES"
# Explicit, so not tuned.
EXPLICIT = [
    "n_factors=4",
    "ratings_per_step=4096",
    "rating_steps=10",
    "ranking_steps=10",
    "top_n=5",
    "similar_n=4",
]


def prepared(folder: Path, ratings: pd.DataFrame) -> Store:
    """A store whose run is ready to be tuned on."""
    store = Store(folder).create()
    write_ratings(store.landing / "ratings.csv", ratings)
    for task in ("ingest", "normalize"):
        run_task(task, store, load_settings(), "n1")
    return store


def write_tuned(store: Store, **values: Any) -> None:
    store.records.write_tuned({"settings": values, "run_key": "earlier"})
