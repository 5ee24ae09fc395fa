"""What train, tune and evaluate must agree on: test ratings, and the holdout model of a run.

A holdout model learns without the test ratings. `train` keeps it in the folder `trial`.
"""

from pathlib import Path

import numpy as np

from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation.split import holdout_mask
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.run_tables import (
    has_model,
    read_draws,
    read_ratings,
    read_times,
)
from cofi_jobs.store.store import Store


def read_split(store: Store, run_key: str, settings: Settings) -> tuple[Ratings, np.ndarray]:
    """All ratings of a run, and the mask of its test ratings by the settings that train had.

    Some users' alone are read by `run_split.read_part`. The same are drawn for all.
    """
    normalized = store.checked_table(run_key, "normalized")
    ratings = read_ratings(normalized)
    time = None if settings.test_days is None else read_times(normalized)
    return ratings, holdout_mask(ratings, time, settings, read_draws(normalized))


def holdout_folder(store: Store, run_key: str) -> Path | None:
    """Where the holdout model of a run is; None if it is older than the evaluation of runs."""
    if not store.table(run_key, "trial").exists():
        return None
    folder = store.checked_table(run_key, "trial")
    return folder if has_model(folder) else None
