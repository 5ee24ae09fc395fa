"""What the tables must hold, computed by plain Python from the rows that were dropped."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow.parquet as pq

from cofi_jobs.store.store import Store


class Pair(NamedTuple):
    """A user and an item."""

    user: int
    item: int


Ratings = dict[Pair, float]


def current_ratings(dropped: Sequence[pd.DataFrame], erased: Iterable[int] = ()) -> Ratings:
    """The newest rating of each pair; of equal times the one that arrived last; no withdrawn one.

    The frames have MovieLens' columns and `op`: "d" withdraws the rating.
    """
    rows = [row for frame in dropped for row in frame.to_dict("records")]
    newest = {}
    for row in sorted(rows, key=lambda row: row["timestamp"]):
        newest[Pair(row["userId"], row["movieId"])] = row
    gone = {*erased}
    return {
        pair: float(row["rating"])
        for pair, row in newest.items()
        if row["op"] != "d" and pair.user not in gone
    }


def differences(
    store: Store, run_key: str, expected: Ratings, unknown: Iterable[int] = ()
) -> list[str]:
    """How the tables of a run differ from the ratings expected. Of `unknown` users any are right.

    Every rating is there once; each user has a list, without what the user has rated.
    """
    any_right = {*unknown}
    expected_rows = Counter(
        (pair, rating) for pair, rating in expected.items() if pair.user not in any_right
    )
    rows = Counter(row for row in _normalized(store, run_key) if row[0].user not in any_right)
    if rows != expected_rows:
        lost, odd = [*(expected_rows - rows)], [*(rows - expected_rows)]
        return [f"run {run_key}: ratings differ: {lost[:3]} are lost, {odd[:3]} are there instead"]
    if store.outcome(run_key, "recommend") is None:
        return []
    return [f"run {run_key}: {text}" for text in _wrong_lists(store, run_key, rows, any_right)]


def _normalized(store: Store, run_key: str) -> list[tuple[Pair, float]]:
    """The ratings that a run has read, with their ids."""
    folder = store.table(run_key, "normalized")
    users, items = (
        {row[f"{kind}_index"]: row[f"{kind}_id"] for row in _rows(folder / f"{kind}s.parquet")}
        for kind in ("user", "item")
    )
    return [
        (Pair(users[row["user_index"]], items[row["item_index"]]), row["rating"])
        for row in _rows(folder / "ratings.parquet")
    ]


def _wrong_lists(
    store: Store, run_key: str, rows: Iterable[tuple[Pair, float]], any_right: set[int]
) -> list[str]:
    rated = {pair for pair, _ in rows}
    lists = [
        row
        for path in sorted(store.table(run_key, "recommendations").glob("*.parquet"))
        for row in _rows(path)
        if row["user_id"] not in any_right
    ]
    shown = [Pair(row["user_id"], row["item_id"]) for row in lists]
    ranks = [(row["user_id"], row["rank"]) for row in lists]
    wrong = []
    if {pair.user for pair in shown} - {pair.user for pair in rated}:
        wrong.append("lists of users without ratings")
    if rated & {*shown}:
        wrong.append("lists hold rated items")
    if len({*shown}) < len(shown) or len({*ranks}) < len(ranks):
        wrong.append("lists hold an item or a rank twice")
    return wrong


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path, partitioning=None).to_pylist()
    return rows
