"""What the tasks are said to read and write, against what they really do."""

import re
import shutil
from pathlib import Path

import pytest

from cofi_jobs.airflow_integration.lineage import _uri
from cofi_jobs.core.errors import DataError, StoreError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.registry import DECLARED, TASKS
from cofi_jobs.tasks.runner import run_task
from tests.support.data import random_ratings, write_ratings

KEY = "night-1"
OPTIONAL = ("catalogue", "lists")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store after a night, with a refused row."""
    store = Store(tmp_path_factory.mktemp("whole") / "store").create()
    ratings = random_ratings()
    ratings.loc[len(ratings)] = {**ratings.iloc[0].to_dict(), "rating": float("nan")}
    write_ratings(store.landing / "ratings.csv", ratings)
    (store.catalogue / "movies.csv").write_text("movieId,title,genres\n1,One,Drama\n")
    settings = Settings(n_factors=4, rating_steps=1, ranking_steps=1)
    for task in TASKS:
        run_task(task, store, settings, KEY)
    return store


def test_every_task_is_named() -> None:
    assert set(DECLARED) == {*TASKS, "deliver", "tune", "verify"}
    assert all(DECLARED[task].reads and DECLARED[task].writes for task in TASKS)


@pytest.mark.parametrize(
    ("store", "uri"),
    [
        ("/srv/night's store", "file:///srv/night%27s%20store/runs/*/model"),
        ("s3://bucket/store", "s3://bucket/store/runs/*/model"),
    ],
)
def test_names_are_uris(store: str, uri: str) -> None:
    assert _uri(store, "runs/*/model") == uri


@pytest.mark.parametrize("task", TASKS)
def test_a_task_needs_what_it_reads_and_writes_what_it_writes(
    whole: Store, task: str, tmp_path: Path, quick: Settings
) -> None:
    store = copy_for(task, whole, tmp_path / "store", DECLARED[task].reads)
    before = files(store)
    run_task(task, store, quick, KEY)
    changed = {folder for folder in files(store) if files(store)[folder] != before.get(folder)}
    if task == "publish":
        assert not changed, "readers are pointed to the run, its tables stay as they are"
        assert all((store.root / folder).is_dir() for folder in DECLARED[task].writes)
    else:
        assert changed == set(DECLARED[task].writes)


@pytest.mark.parametrize(
    ("task", "folder"),
    [(task, folder) for task in TASKS for folder in DECLARED[task].reads if folder not in OPTIONAL],
)
def test_a_task_misses_what_it_reads(
    whole: Store, task: str, folder: str, tmp_path: Path, quick: Settings
) -> None:
    """What is missing is named."""
    store = copy_for(task, whole, tmp_path / "store", set(DECLARED[task].reads) - {folder})
    missing = re.escape(str(store.root / folder.replace("*", KEY)))
    with pytest.raises((DataError, StoreError, FileNotFoundError), match=missing):
        run_task(task, store, quick, KEY)


def copy_for(task: str, whole: Store, root: Path, folders: set[str] | tuple[str, ...]) -> Store:
    """An unpublished copy with these folders of data only, as if the task had not run yet."""
    store = Store(root)
    shutil.copytree(whole.root, store.root, symlinks=True)
    store.records.forget_outcomes(KEY, [task])
    shutil.rmtree(store.root / "manifests")
    for name in ("CURRENT.json", "current"):
        (store.root / name).unlink()
    for folder, paths in files(store).items():
        if folder not in folders:
            for path in paths:
                (store.root / path).unlink()
    return store


def files(store: Store) -> dict[str, dict[str, int]]:
    """Files by folder, as lineage names it, with inodes: a rewritten file has another one."""
    inodes: dict[str, dict[str, int]] = {}
    for path in store.root.rglob("*"):
        name = path.relative_to(store.root)
        if (
            path.is_file()
            and len(name.parts) > 1
            and name.parts[0] not in ("tasks", "manifests", "current")
        ):
            folder = f"runs/*/{name.parts[2]}" if name.parts[0] == "runs" else name.parts[0]
            inodes.setdefault(folder, {})[str(name)] = path.stat().st_ino
    return inodes
