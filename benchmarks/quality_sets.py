"""The sets of ratings that quality.py judges lists on, and what it holds out of them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.data import SAMPLE, TABLE_COLUMNS, last_fifth, sample
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale

COLUMNS = ("user", "item", "rating", "time")


@dataclass(frozen=True)
class RatingSet:
    """A table of ratings: columns of ids, then maybe `rating`, then maybe `time`, all as text.

    The columns have the names of the file, which the job gets to see.
    """

    name: str
    table: pd.DataFrame
    rating: np.ndarray  # (n_rows,), 1 where users gave none
    time: np.ndarray | None  # (n_rows,) in any unit; None where times say nothing
    liked_from: float  # the rating from which a held-out item is one that the user likes

    @property
    def slug(self) -> str:
        """The name as that of a folder."""
        return re.sub(r"\W+", "-", self.name.lower())


@dataclass(frozen=True)
class Parted:
    """A set in two parts, each user's ratings in order: by time, or drawn."""

    known: Ratings
    held_out: Ratings
    known_table: pd.DataFrame  # what the job gets: the known ratings, rows in a drawn order
    users: np.ndarray  # (n_users,) ids
    items: np.ndarray  # (n_items,) ids


def rating_set(
    name: str, table: pd.DataFrame, liked_from: float | None = None, timed: bool = True
) -> RatingSet:
    """A set of a table whose first columns are COLUMNS; the last one or two may be left out.

    Where `liked_from` is None it is three quarters up the scale, as in the job. A time that all
    rows share says nothing, nor does any without `timed`. Raises ValueError for another table.
    """
    table = table.iloc[:, : len(COLUMNS)]
    n_columns = table.shape[1]
    if n_columns < 2 or not len(table):
        raise ValueError(
            f"found {n_columns} columns and {len(table):,} rows in {name}, "
            f"expected ratings with the columns {', '.join(COLUMNS)}"
        )
    rating = _numbers(name, table, 2) if n_columns > 2 else np.ones(len(table))
    time = _numbers(name, table, 3) if timed and n_columns > 3 else None
    if time is None or (time == time[0]).all():
        time, table = None, table.iloc[:, :3]
    if liked_from is None:
        liked_from = Scale(rating.min(), rating.max()).relevant_from
    return RatingSet(name, table, rating, time, liked_from)


def from_file(
    path: Path, liked_from: float | None = None, timed: bool = True, name: str | None = None
) -> RatingSet:
    """A set of a CSV file with a header, or of one with :: and none, as MovieLens 1M has it.

    Raises ValueError if it cannot be used.
    """
    if not path.is_file():
        raise ValueError(f"found no file {path}, expected one of ratings")
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        colons = "::" in file.readline()
    shape = {"sep": "::", "engine": "python", "names": TABLE_COLUMNS} if colons else {}
    try:
        table = pd.read_csv(path, dtype=str, **shape)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(f"found no table in {path}, expected CSV: {error}") from None
    name = name or f"{path.resolve().parent.name}/{path.name}"
    return rating_set(name, table, liked_from, timed)


SHARED_SETS: dict[str, tuple[str, Callable[[Path], RatingSet]]] = {
    "ml-latest-small": (
        "ml-latest-small/ratings.csv",
        partial(from_file, name="ml-latest-small"),
    ),
    "ml-latest-small-without-times": (
        "ml-latest-small/ratings.csv",
        partial(from_file, name="ml-latest-small, without times", timed=False),
    ),
    "movietweetings": (
        "movietweetings-100k/ratings.dat",
        partial(from_file, name="MovieTweetings 100K"),
    ),
    "check-ins": (
        "foursquare-checkins/check_ins.csv",
        partial(from_file, name="Foursquare check-ins", liked_from=1.0),
    ),
}
NAMES = (SAMPLE, *SHARED_SETS)


def at_hand(names: Sequence[str], shared: Path) -> tuple[list[RatingSet], list[str]]:
    """The sets of these names, and the names of those whose file is not in the folder `shared`.

    Raises ValueError at a name that no set has.
    """
    sets, missing = [], []
    for name in names:
        if name not in NAMES:
            raise ValueError(f"found the set {name!r}, expected some of {', '.join(NAMES)}")
        if name == SAMPLE:
            sets.append(rating_set("MovieLens sample", sample().astype(str)))
            continue
        file, read = SHARED_SETS[name]
        if (shared / file).is_file():
            sets.append(read(shared / file))
        else:
            missing.append(name)
    return sets, missing


@dataclass(frozen=True)
class InOrder:
    """All ratings of a set, each user's in order: by time, or drawn."""

    ratings: Ratings
    row: np.ndarray  # (n_ratings,) in the set's table
    users: np.ndarray  # (n_users,) ids
    items: np.ndarray  # (n_items,) ids


def in_order(ratings: RatingSet, rng: np.random.Generator) -> InOrder:
    """The ratings by user. Those of a user at equal times are in a drawn order.

    Of a pair rated twice the newest counts.
    """
    table = ratings.table
    time = np.zeros(len(table)) if ratings.time is None else ratings.time
    users, user = np.unique(table.iloc[:, 0].to_numpy(str), return_inverse=True)
    items, item = np.unique(table.iloc[:, 1].to_numpy(str), return_inverse=True)
    drawn = rng.permutation(len(table))
    row = drawn[np.lexsort([time[drawn], user[drawn]])]
    pairs = (user * len(items) + item)[row]
    _, last = np.unique(pairs[::-1], return_index=True)
    row = row[np.sort(len(row) - 1 - last)]
    columns = (
        user[row].astype(np.int32),
        item[row].astype(np.int32),
        ratings.rating[row].astype(np.float32),
    )
    return InOrder(Ratings(*columns, len(users), len(items)), row, users, items)


def parted(ratings: RatingSet, seed: int = 0) -> Parted:
    """Hold out the last fifth of each user's ratings, in the order of time or in a drawn one."""
    rng = np.random.default_rng(seed)
    every = in_order(ratings, rng)
    held_out = last_fifth(every.ratings.user_index)
    return Parted(
        every.ratings.where(~held_out),
        every.ratings.where(held_out),
        ratings.table.iloc[rng.permutation(every.row[~held_out])],
        every.users,
        every.items,
    )


def _numbers(name: str, table: pd.DataFrame, place: int) -> np.ndarray:
    """A column of ratings or times as numbers; times may be dates, too."""
    text, what = table.iloc[:, place], COLUMNS[place]
    numbers = pd.to_numeric(text, errors="coerce")
    if what == "time" and numbers.isna().all():
        numbers = pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601")
        numbers = numbers.astype("int64").where(numbers.notna())
    if numbers.isna().any():
        wrong = text[numbers.isna()].iloc[0]
        raise ValueError(
            f"found {wrong!r} as {what} in the column {table.columns[place]} of {name}, "
            f"expected {'numbers' if what == 'rating' else 'numbers or ISO dates'}"
        )
    return numbers.to_numpy(float)
