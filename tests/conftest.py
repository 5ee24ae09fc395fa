"""Shared by all tests: an environment without settings, a temporary store, meaningful ratings."""

import gc
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from tests.support import buckets
from tests.support.buckets import Place, given
from tests.support.data import QUICK
from tests.support.ingestion import GOOD, HEADER, drop, ingest
from tests.support.postgres import new_database, server
from tests.support.tuning import WITHOUT_SEARCH

os.environ[WITHOUT_SEARCH] = "0"
settings.register_profile("untimed", deadline=None)  # a busy machine takes seconds for anything
settings.register_profile("fixed", deadline=None, derandomize=True)  # the same examples each time
settings.load_profile("untimed")

# `make test` installs Ray. The environment of the other commands does not have it.
collect_ignore = [] if importlib.util.find_spec("ray") else ["engine/test_on_ray.py"]

# Files whose tests take longest, longest first: the processes then end at about the same time.
LONGEST = [
    "test_live.py",
    "test_dag.py",
    "test_connections.py",
    "test_factory.py",
    "test_on_ray.py",
    "test_erase.py",
    "test_tune.py",
    "test_remote.py",
    "test_remote_kills.py",
    "test_demo.py",
    "test_torture.py",
    "test_job.py",
    "test_normalize.py",
    "test_cli.py",
    "test_evaluate.py",
    "test_report.py",
    "test_names.py",
    "test_lineage.py",
]
# All tests of these files or folders are slow; single ones are marked where they are.
SLOW = [
    "airflow_integration",
    "benchmarks",
    "cli/test_cli.py",
    "engine/test_on_ray.py",
    "erasure/test_damage.py",
    "erasure/test_erase.py",
    "ingestion/test_accepted_cases.py",
    "ingestion/test_bucket_files.py",
    "ingestion/test_names.py",
    "ingestion/test_properties.py",
    "ingestion/test_query_rows.py",
    "ingestion/test_staged_on_engine.py",
    "model/test_checkpoints.py",
    "model/test_trust.py",
    "report/test_report.py",
    "repository/test_demo.py",
    "repository/test_wheel.py",
    "store/test_compaction.py",
    "store/test_conditional.py",
    "store/test_event_sums.py",
    "store/test_lost_records.py",
    "store/test_permissions.py",
    "store/test_remote.py",
    "store/test_remote_kills.py",
    "store/test_source_roots.py",
    "tasks/test_account_trust.py",
    "tasks/test_checkpoints.py",
    "tasks/test_deliver.py",
    "tasks/test_evaluate.py",
    "tasks/test_events.py",
    "tasks/test_holdout_start.py",
    "tasks/test_job.py",
    "tasks/test_normalize.py",
    "tasks/test_order_of_runs.py",
    "tasks/test_quality.py",
    "tasks/test_tune.py",
    "tasks/test_verify.py",
    "test_serve.py",
    "tuning/test_comparison.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, and begin with the longest files."""
    slow = [Path(__file__).parent / name for name in SLOW]
    assert all(path.exists() for path in slow), "a file in SLOW has moved"
    for item in items:
        if any(item.path.is_relative_to(path) for path in slow):
            item.add_marker("slow")
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_collection_finish() -> None:
    """What is imported stays: without it each search for garbage is shorter."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Libraries look at the end for what nobody has freed."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("COFI_") and name != WITHOUT_SEARCH:
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


@pytest.fixture(scope="session")
def bucket_servers() -> Iterator[dict[str, dict[str, Any]]]:
    """Options for a private server of each kind of object storage."""
    with buckets.s3() as s3, buckets.gs() as gs:
        yield {"s3": s3, "gs": gs}


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("COFI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COFI_LEASE_SECONDS", "30")
    return monkeypatch


@pytest.fixture
def s3(bucket_servers: Any, tmp_path: Path, environment: pytest.MonkeyPatch) -> Place:
    """A place for a store in a bucket."""
    return given(buckets.place("s3", bucket_servers["s3"], tmp_path / "store"), environment)


@pytest.fixture
def database(postgres: str) -> str:
    """Address of a fresh database."""
    return new_database(postgres, "fresh")


@pytest.fixture
def two_nights(store: Store) -> Store:
    drop(store, "a.csv", GOOD + "7,10,x,1\n")
    ingest(store, "night-1")
    drop(store, "b.csv", HEADER + "1,20,2,5\n4,20,9,5\n")
    drop(store, "c.csv", HEADER + "2,30,3,6\n")
    ingest(store, "night-2")
    return store
