"""Fresh stores in buckets of real servers of object storage."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_task
from tests.support import buckets
from tests.support.buckets import Place, given
from tests.support.data import QUICK, write_ratings
from tests.support.nights import run_night
from tests.support.remote import ratings_of


@pytest.fixture(params=["s3", "gs"])
def place(
    request: pytest.FixtureRequest,
    bucket_servers: Any,
    tmp_path: Path,
    environment: pytest.MonkeyPatch,
) -> Place:
    return given(
        buckets.place(request.param, bucket_servers[request.param], tmp_path / "store"), environment
    )


# Nights in a folder, for `put_store`: in a bucket each would take as long as all of them here.


@pytest.fixture(scope="session")
def one_published(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The published run n1."""
    store = Store(tmp_path_factory.mktemp("one-night") / "store").create()
    write_ratings(store.landing / "n1.csv", ratings_of(0))
    run_night(store, load_settings(QUICK), "n1")
    return store


@pytest.fixture(scope="session")
def one_to_publish(one_published: Store, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The run n2 as well, which only has to be published."""
    store = copy_of(one_published, tmp_path_factory.mktemp("before-publish"))
    write_ratings(store.landing / "n2.csv", ratings_of(1))
    for task in TASKS[:-1]:
        if task != "report":
            run_task(task, store, load_settings(QUICK), "n2")
    return store


@pytest.fixture(scope="session")
def two_published(one_to_publish: Store, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The published runs n1 and n2."""
    store = copy_of(one_to_publish, tmp_path_factory.mktemp("two-nights"))
    run_task("publish", store, load_settings(QUICK), "n2")
    return store


def copy_of(store: Store, folder: Path) -> Store:
    return Store(shutil.copytree(store.root, folder / "store", symlinks=True))
