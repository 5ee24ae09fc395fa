"""Sums of events against pandas: withdrawals, half-life, compaction."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.errors import StoreError
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store import sql
from cofi_jobs.store.current_ratings import drop_withdrawn
from cofi_jobs.store.event_sums import KEPT_ROWS, load_sums, mark_current

DAY = 86_400
SCHEMA = pa.schema(
    [
        ("user_id", pa.int64()),
        ("item_id", pa.string()),
        ("rating", pa.float32()),
        ("timestamp", pa.timestamp("us", "UTC")),
    ]
)
# user, item, count (None: a withdrawal), day (None: no time)
ROWS = st.tuples(
    st.integers(1, 4),
    st.sampled_from("abc"),
    st.none() | st.sampled_from([0.5, 1.0, 2.0, 7.0]),
    st.none() | st.integers(0, 4),
)
BATCHES = st.lists(st.lists(ROWS, max_size=16), min_size=1, max_size=4)

Row = tuple[int, str, float | None, int | None]


def written(folder: Path, batches: list[list[Row]]) -> dict[Path, int]:
    parts = {}
    for number, rows in enumerate(batches):
        columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
        columns[3] = [None if day is None else day * DAY * 1_000_000 for day in columns[3]]
        path = folder / f"part-{number}.parquet"
        pq.write_table(pa.table(columns, schema=SCHEMA), path)
        parts[path] = len(rows)
    return parts


def sums(parts: dict[Path, int], half_life: float | None = None) -> dict[tuple[int, str], Any]:
    """By pair: the sum and the day of the newest event; and what became of the rows."""
    with TemporaryDirectory() as folder, sql.connect(load_settings(), Path(folder)) as connection:
        counts = load_sums(connection, parts, half_life)
        assert counts.n_rows == sum(parts.values())
        n_pairs = drop_withdrawn(connection)
        assert n_pairs == counts.n_rows - counts.n_superseded - counts.n_withdrawn
        rows = connection.execute(
            "SELECT user_id, item_id, rating, epoch(timestamp) FROM newest"
        ).fetchall()
    return {(user, item): (total, time) for user, item, total, time in rows}


def by_hand(batches: list[list[Row]], half_life: float | None = None) -> dict[Any, Any]:
    """The same with pandas, pair by pair."""
    rows = [row for batch in batches for row in batch]
    frame = pd.DataFrame(rows, columns=["user", "item", "count", "day"], dtype=object)
    frame["arrival"] = range(len(frame))
    frame["place"] = [
        (-1 if day is None else day, a) for day, a in frame[["day", "arrival"]].values
    ]
    events = {}
    for pair, of_pair in frame.groupby(["user", "item"]):
        last = max(of_pair.loc[of_pair["count"].isna(), "place"], default=(-2, -1))
        current = of_pair[of_pair["count"].notna() & (of_pair["place"] > last)]
        if len(current):
            events[pair] = current[["count", "day"]].values
    days = [day for current in events.values() for _, day in current if day is not None]
    result = {}
    for pair, current in events.items():
        total = 0.0
        for count, day in current:
            age = 0 if not days else max(days) - (min(days) if day is None else day)
            total += count * (0.5 ** (age / half_life) if half_life else 1)
        times = [day * DAY for _, day in current if day is not None]
        result[pair] = (pytest.approx(total, rel=1e-5), max(times, default=None))
    return result


@settings(max_examples=15, deadline=None)
@given(BATCHES, st.none() | st.sampled_from([0.5, 3.0]))
def test_sums_are_those_of_pandas(batches: list[list[Row]], half_life: float | None) -> None:
    with TemporaryDirectory() as folder:
        parts = written(Path(folder), batches)
        assert sums(parts, half_life) == by_hand(batches, half_life)


@settings(max_examples=15, deadline=None)
@given(BATCHES, BATCHES, st.sampled_from([None, 2.0]))
def test_compaction_loses_no_sum_also_where_rows_come_late(
    older: list[list[Row]], newer: list[list[Row]], half_life: float | None
) -> None:
    with TemporaryDirectory() as folder:
        parts = written(Path(folder), [*older, *newer])
        compacted = Path(folder) / "compacted.parquet"
        old_parts = dict(list(parts.items())[: len(older)])
        with sql.connect(load_settings(), Path(folder)) as connection:
            mark_current(connection, old_parts)
            n_rows = sql.write_parquet(connection, KEPT_ROWS, compacted)
        assert n_rows <= sum(old_parts.values())
        new_parts = dict(list(parts.items())[len(older) :])
        assert sums({compacted: n_rows, **new_parts}, half_life) == sums(parts, half_life)


def test_sums_do_not_depend_on_the_order_of_adding(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).uniform(0.1, 1e6, 5000).astype(np.float32).tolist()
    rows: list[Row] = [(1, "a", count, None) for count in counts]
    forwards, backwards = (sums(written(tmp_path, [part])) for part in (rows, rows[::-1]))
    assert forwards == backwards


def test_lost_rows_are_an_error(tmp_path: Path) -> None:
    parts = {path: n + 1 for path, n in written(tmp_path, [[(1, "a", 1.0, 0)]]).items()}
    with pytest.raises(StoreError, match="found 1 rows in"):
        sums(parts)
