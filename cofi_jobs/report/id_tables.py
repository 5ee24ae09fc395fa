"""What a report looks for in tables of all users or items, whose rows are sorted by id.

They are read a batch at a time, so memory does not grow with them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cofi_jobs.store import parquet


def users_at(path: Path, places: Sequence[int]) -> list[int | str]:
    """The user at each of some places: ordered by number of ratings, then by id."""
    file = parquet.open_file(path)
    sizes: Counter[int] = Counter()  # number of ratings -> users with so many
    for batch in file.iter_batches(columns=["n_ratings"]):
        counted = pc.value_counts(batch["n_ratings"])
        sizes.update({row["values"]: row["counts"] for row in counted.to_pylist()})
    numbers = np.array(sorted(sizes))
    ends = np.cumsum([sizes[number] for number in numbers.tolist()])
    at = np.searchsorted(ends, places, side="right")
    users: list[int | str] = [""] * len(places)
    ahead = np.array(places) - np.append(0, ends)[at]  # users of the same number before this one
    for batch in file.iter_batches(columns=["user_id", "n_ratings"]):
        n_ratings = batch["n_ratings"].to_numpy()
        for which, number in enumerate(numbers[at]):
            rows = np.flatnonzero(n_ratings == number)
            if 0 <= ahead[which] < len(rows):
                users[which] = batch["user_id"][rows[ahead[which]]].as_py()
            ahead[which] -= len(rows)
    return users


def n_new(now: Path, before: Path, column: str) -> int:
    """How many ids one table has and another has not."""
    with parquet.reading():
        return parquet.read_metadata(now).num_rows - _n_common(
            _batches(now, column), _batches(before, column)
        )


def _n_common(first: Iterator[pa.Array], second: Iterator[pa.Array]) -> int:
    """How many ids both have, each once and sorted: one batch of each is looked at."""
    n, ours, theirs = 0, next(first, None), next(second, None)
    while ours is not None and theirs is not None:
        n += pc.is_in(ours, value_set=theirs).true_count
        if ours[-1].as_py() < theirs[-1].as_py():
            ours = next(first, None)
        else:
            theirs = next(second, None)
    return n


def _batches(path: Path, column: str) -> Iterator[pa.Array]:
    for batch in parquet.open_file(path).iter_batches(columns=[column]):
        yield batch[column]
