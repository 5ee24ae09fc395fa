"""Ratings that mean something, and settings with which the job is quick."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd

# Small and quick, yet every part of the job runs. What is learned so quickly may be too bad for the
# gate.
QUICK = [
    *(
        "n_factors=4",
        "ratings_per_step=64",
        "rating_steps=3",
        "ranking_steps=3",
        "top_n=5",
        "similar_n=4",
    ),
    "force_publish=true",
]
QUICK_VALUES = {
    name: json.loads(value) for name, value in (text.split("=") for text in QUICK)
}  # as a run's conf


def random_ratings(
    n_users: int = 30, n_items: int = 20, share: float = 0.4, seed: int = 0
) -> pd.DataFrame:
    """Ratings of 1 to 5 stars in MovieLens' columns; ids have gaps, times rise with the row."""
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < share)
    taste = rng.standard_normal((n_users, 2)) @ rng.standard_normal((2, n_items))
    stars = np.clip(np.round(3 + taste[user, item]), 1, 5)
    order = rng.permutation(len(user))
    frame = pd.DataFrame(
        {"userId": 10 + 3 * user, "movieId": 100 + 7 * item, "rating": stars}
    ).iloc[order]
    return frame.assign(timestamp=1_000_000_000 + np.arange(len(frame))).reset_index(drop=True)


def write_ratings(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return settle(path)


def settle(path: Path) -> Path:
    """The file as if written a minute ago, so that ingest does not wait whether more is to come."""
    os.utime(path, ns=(time.time_ns() - 60 * 10**9,) * 2)
    return path


def tasteful_ratings(seed: int = 0) -> pd.DataFrame:
    """150 users of two tastes; each rates half of what fits with 4 or 5, and some of the rest."""
    rng = np.random.default_rng(seed)
    fits = (np.arange(150)[:, None] % 2) == (np.arange(80)[None, :] % 2)
    user, item = np.nonzero(rng.random(fits.shape) < np.where(fits, 0.5, 0.05))
    stars = np.where(fits[user, item], rng.integers(4, 6, len(user)), rng.integers(1, 3, len(user)))
    frame = pd.DataFrame(
        {"userId": user, "movieId": item, "rating": stars, "timestamp": rng.permutation(len(user))}
    )
    return frame.assign(timestamp=frame["timestamp"] + 10**9)
