"""Rating files of many kinds, and what ingest makes of them here and on an engine."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.ingestion.staged_here import StagedHere
from cofi_jobs.ingestion.staged_on_engine import StagedOnEngine
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import ingest
from cofi_jobs.tasks.runner import run_task
from tests.support.current import LocalFlow
from tests.support.data import random_ratings
from tests.support.ingestion import HEADER, drop

ODD = """1,10,4,1000000000
"2",20,3,1000000001
3,30
4,x7,3,1000000002
5,10,50,1000000003
6,10,much,1000000004
7,10,3,9000000000
,10,3,1000000005
"""
CHANGES = "userId,movieId,rating,timestamp,op\n1,10,5,1000000000,u\n2,20,,1000000001,d\n"
# Of a night. By itself the first part has an order, the second nothing but implausible times.
PARTS = {
    "0.csv": "1,10,4,{}\n2,10\n",
    "1.csv": "2,10,4,40000000000{}\n",
    "2.csv": "1,20,3,1000000000000\n2,20,3,1000000001000\n3,20,3,100000000200{}\n",
}
OF_THIS_ATTEMPT = ("digests", "seconds", "settings", "peak_memory_mb")


class SentFlow(LocalFlow):
    """Calls in this process, whose arguments and results are sent as to another one."""

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """As in `Flow`."""
        function, arguments = sent((function, arguments))
        return sent(function(*arguments))

    def call_for(
        self, n: int, function: Callable[..., Iterable[Any]], *arguments: Any
    ) -> list[Any]:
        """As in `Flow`."""
        function, arguments = sent((function, arguments))
        results = [sent(result) for result in function(*arguments)]
        assert len(results) == n
        return results


def sent(value: Any) -> Any:
    """A copy, as another process gets it."""
    return pickle.loads(pickle.dumps(value))


@contextmanager
def on_an_engine(flow: LocalFlow) -> Iterator[None]:
    """Ingest judges files by calls of the flow meanwhile, however small they are."""

    @contextmanager
    def staged(connection: Any, settings: Settings, here: StagedHere) -> Iterator[StagedOnEngine]:
        with original(connection, settings, here):
            yield StagedOnEngine(flow, here)

    original = ingest._staged
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "_staged", staged)
        yield


def drop_files(store: Store, night: int, texts_as_ids: bool) -> None:
    """Files of all formats with good and bad rows.

    `texts_as_ids`: so many items have names that all ids of items are text.
    """
    frame = random_ratings(60, 40, seed=night)
    drop(store, f"{night}-plain.csv", frame.to_csv(index=False))
    new = f"{night},12,4,{10**9 + night}\n"
    drop(store, f"{night}-odd.csv", HEADER + new + ODD)
    windows = f"{HEADER}{new}Zoë,10,4,\n1,2,3,4,5\n"
    drop(store, f"{night}-windows.csv", windows.encode("cp1252"))
    drop(store, f"{night}-empty.csv", "\n" * night)
    drop(store, f"{night}-changes.csv", CHANGES + new)
    in_ms = frame.assign(timestamp=frame["timestamp"] * 1000 + night, rating=frame["rating"] - 0.5)
    drop(store, f"{night}-ms.csv", in_ms.to_csv(index=False))
    if texts_as_ids:
        frame["movieId"] = "m" + frame["movieId"].astype(str)
    lines = frame.to_json(orient="records", lines=True)
    drop(store, f"{night}.jsonl", lines + '{"userId": [1], "movieId": 2, "rating": 3}\n{"userI\n')
    drop(store, f"{night}.parquet", frame.iloc[::2].to_parquet(index=False))
    folder = store.landing / f"{night}-parts.csv"
    folder.mkdir()
    for name, rows in PARTS.items():
        drop(store, f"{folder.name}/{name}", HEADER + rows.format(night))


def taken_with(
    store: Store, run_key: str, settings: Settings
) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """The outcome of ingest but for what differs in each attempt, and all files of the batch."""
    outcome = run_task("ingest", store, settings, run_key)
    files = {
        f"{folder.parent.name}/{path.name}": pq.read_table(path)
        for folder in (store.ratings(run_key), store.rejected(run_key))
        for path in folder.iterdir()
    }
    return {name: outcome[name] for name in outcome if name not in OF_THIS_ATTEMPT}, files
