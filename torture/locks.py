"""Readers under fire, and commands that move the readers' pointer at once, each change slowed."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs import read
from cofi_jobs.store import digests
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import DECLARED
from torture import story
from torture.attack import Attack, arm
from torture.checks import served, settled
from torture.warm import Ended, forked, forked_each

TABLES = ("recommendations", "similar_items", "popular_items")
GRACE = ("keep_runs=2", "grace_hours=0.01")  # readers are done with a run after 36 seconds
ENOUGH = ("is not published", "found no run")  # words of a clear error of a rollback


def under_fire(base: Path, folder: Path, publications: int) -> tuple[int, list[str]]:
    """Two readers read while runs are published and rolled back: the reads, and the wrong ones.

    `base` is a store whose run n3 can be published. Each run's tables hold its number as scores.
    """
    root, stop = story.copy(base, folder / "store"), folder / "stop"
    reads, wrong = 0, []
    calls = [
        ("publish", root, stop, publications),
        ("read", root, stop, 0),
        ("read", root, stop, 1),
    ]
    for (kind, *_), ended in forked_each(_fire, calls, at_once=3):
        if ended.error or ended.signal:
            stop.touch()
            wrong.append(f"{kind} under fire: {ended.error or ended.signal}")
        elif kind == "read":
            reads += ended.value[0]
            wrong += ended.value[1]
    return reads, wrong


def _fire(kind: str, root: Path, stop: Path, number: int) -> tuple[int, list[str]]:
    if kind == "read":
        return _read_on(root, stop, number)
    try:
        for publication in range(number):
            _publish_marked(root, f"p{publication:04}", publication)
    finally:
        stop.touch()
    return 0, []


def _publish_marked(root: Path, key: str, number: int) -> None:
    """Publish a copy of n3 whose scores are all `number`, and roll back and forth once."""
    store = Store(root)
    before = store.current()
    story.run(store, key, ["ingest"])
    with store.replace_folder(store.table(key, "")) as folder:
        for path in store.table("n3", "").rglob("*.parquet"):
            name = path.relative_to(store.table("n3", ""))
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(_marked(pq.read_table(path, partitioning=None), number), folder / name)
    for task in story.QUIET[1:-1]:
        files = digests.written(root, key, DECLARED[task].writes)
        outcome = {**store.required_outcome("n3", task), "digests": files}
        store.records.write_outcome(key, task, outcome)
    story.run(store, key, ["publish"], *GRACE)
    if before and store.manifest(before) and number:
        story.roll_back(store, before)
        story.roll_back(store, key)


def _marked(table: pa.Table, number: int) -> pa.Table:
    for column in ("score", "similarity"):
        if column in table.column_names:
            values = pa.array([float(number)] * len(table), pa.float32())
            place = table.schema.get_field_index(column)
            table = table.set_column(place, table.schema.field(place), values)
    return table


def _read_on(root: Path, stop: Path, way: int) -> tuple[int, list[str]]:
    reads, wrong = 0, []
    user = str(pd.read_parquet(Store(root).table("n3", "recommendations"))["user_id"].iloc[0])
    while not stop.exists():
        key, scores = _by_library(root, user) if (reads + way) % 2 else _by_duckdb(root)
        reads += 1
        if key.startswith("p") and set(scores) != {float(key[1:])}:
            wrong.append(f"a reader of {key} saw the scores {sorted(set(scores))[:3]}")
    return reads, wrong


def _by_library(root: Path, user: str) -> tuple[str, list[float]]:
    run = read.current_run(root)
    item = str(run.popular_items()["item_id"].iloc[0])
    scores = [*run.recommendations(user)["score"], *run.popular_items()["score"]]
    return run.key, [*scores, *run.similar_items(item)["similarity"]]


def _by_duckdb(root: Path) -> tuple[str, list[float]]:
    folder = (root / "current").resolve()
    rows = duckdb.execute(
        f"SELECT score FROM read_parquet('{folder}/recommendations/*.parquet', hive_partitioning = "
        f"false) UNION ALL SELECT score FROM '{folder}/popular_items/*.parquet'"
    ).fetchall()
    return folder.name, [score for (score,) in rows]


def at_once(base: Path, folder: Path, seed: int) -> list[str]:
    """Publish two runs and roll back to a third at once; what does not hold afterwards."""
    rng, root = random.Random(seed), story.copy(base, folder / "store")
    calls = [
        (root, kind, key, rng.randrange(3, 30), rng.random() / 2)
        for kind, key in (("publish", "n3"), ("publish", "n4"), ("rollback", "n1"))
    ]
    wrong = [
        text
        for (_, kind, key, *_), ended in forked_each(_slowly, calls, at_once=len(calls))
        for text in _failed(f"{kind} {key}", ended)
    ]
    return [*wrong, *forked(_judge, root).texts]


def _failed(what: str, ended: Ended) -> Iterator[str]:
    if ended.signal:
        yield f"{what} was ended by signal {ended.signal}"
    elif ended.error and (what.startswith("publish") or not any(w in ended.error for w in ENOUGH)):
        yield f"{what} failed: {ended.error}"


def _slowly(root: Path, kind: str, key: str, ms: int, delay: float) -> None:
    log = root.with_name(f"log-{kind}-{key}")
    log.touch()
    time.sleep(delay)
    arm(root, Attack("slow", ms=ms), log)
    if kind == "publish":
        story.run(Store(root), key, ["publish"])
    else:
        story.roll_back(Store(root), key)


def _judge(root: Path) -> list[str]:
    store = Store(root)
    return [*served(store, {"n1", "n3", "n4"}), *settled(store)]
