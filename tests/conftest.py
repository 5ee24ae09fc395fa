"""Shared by all tests: an environment without settings, a store in a temporary folder, ratings that mean something."""

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cofi_jobs.settings import Settings, load_settings
from cofi_jobs.store import Store
from cofi_jobs.tasks import TASKS, run_task
from tests.postgres import new_database, server

# Small and quick, yet every part of the job runs. What is learned so quickly may be too bad for the gate.
QUICK = [
    *("n_features=4", "batch_size=64", "rating_steps=3", "ranking_steps=3", "top_n=5", "similar_n=4"),
    "force_publish=true",
]
QUICK_VALUES = {name: json.loads(value) for name, value in (text.split("=") for text in QUICK)}  # as a run's conf

# Files whose tests take minutes, longest first: two processes then end at about the same time.
LONGEST = ["test_live.py", "test_dag.py", "test_cli.py", "test_tune.py", "test_erase.py", "test_connection.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("COFI_"):
            monkeypatch.delenv(name)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").create()


@pytest.fixture
def quick() -> Settings:
    return load_settings(QUICK)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a private PostgreSQL."""
    with server() as address:
        yield address


@pytest.fixture
def database(postgres: str) -> str:
    """Address of a fresh database."""
    return new_database(postgres, "fresh")


def random_ratings(n_users: int = 30, n_items: int = 20, share: float = 0.4, seed: int = 0) -> pd.DataFrame:
    """Ratings of 1 to 5 stars in MovieLens' columns; ids are not contiguous, times rise with the row."""
    rng = np.random.default_rng(seed)
    user, item = np.nonzero(rng.random((n_users, n_items)) < share)
    taste = rng.standard_normal((n_users, 2)) @ rng.standard_normal((2, n_items))
    stars = np.clip(np.round(3 + taste[user, item]), 1, 5)
    order = rng.permutation(len(user))
    frame = pd.DataFrame({"userId": 10 + 3 * user, "movieId": 100 + 7 * item, "rating": stars}).iloc[order]
    return frame.assign(timestamp=1_000_000_000 + np.arange(len(frame))).reset_index(drop=True)


def write_ratings(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return settle(path)


def settle(path: Path) -> Path:
    """The file as if written a minute ago, so that ingest does not wait whether more is to come."""
    os.utime(path, ns=(time.time_ns() - 60 * 10**9,) * 2)
    return path


def run_night(
    store: Store, settings: Settings, run_key: str, report: bool = False, **inputs: Any
) -> dict[str, dict[str, Any]]:
    """All tasks of a run, as the command line runs them; the report, which takes seconds, only if asked for."""
    return {
        task: run_task(task, store, settings, run_key, **(inputs if task == "ingest" else {}))
        for task in TASKS
        if report or task != "report"
    }


def free_port() -> int:
    """A port of this machine that nothing uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
