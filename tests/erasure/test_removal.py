"""Runs that are removed while users are erased: no kill leaves tables that nobody owns."""

import os
import shutil
from pathlib import Path

import pytest

from cofi_jobs.erasure.run_tables import clean_published
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.compaction import compact
from cofi_jobs.store.reader import current_run
from cofi_jobs.store.removal import half_removed
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase, look
from cofi_jobs.tasks.publish import prune
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK
from tests.support.kills import die_before, killed_at_each_step
from tests.support.published import NIGHTS, USER, published_nights

OTHER = "16"


@pytest.fixture(scope="module", params=["whole", "per-user"])
def erased(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three published nights, which still show a user who was erased."""
    per_user = request.param == "per-user"
    store = published_nights(tmp_path_factory.mktemp("erased") / "store", per_user)
    assert erase(store, load_settings(), [USER]).waiting != []
    return store


def clean_up(store: Store) -> None:
    """What `publish` does once readers are on the new run."""
    prune(store, keep_runs=1, run_key=NIGHTS[-1])
    clean_published(store)
    compact(store, load_settings(["max_batches=2"]))


def clean_up_and_die(root: str, step: int) -> None:
    changes = [(os, name) for name in ("unlink", "rmdir", "rename", "replace", "mkdir", "utime")]
    die_before(step, changes, of_each=3)  # also amid the files of a folder
    clean_up(Store(root))


@pytest.mark.slow
def test_a_removal_killed_anywhere_is_finished_by_publish_and_by_erase(
    erased: Store, tmp_path: Path
):
    def fresh(step: int) -> Store:
        return Store(shutil.copytree(erased.root, tmp_path / f"store-{step}", symlinks=True))

    n_half_removed = 0
    for step, (store, _) in enumerate(killed_at_each_step(clean_up_and_die, fresh)):
        assert len(current_run(store).recommendations(OTHER))
        half = half_removed(store)
        n_half_removed += len(half)
        assert not set(half) & set(store.published())
        if step % 2:
            clean_up(store)
            assert store.run_keys() == store.published() == [NIGHTS[-1]]
            assert store.records.compacted()["batches"] == ["n1", "n2"]
            left = look(store, load_settings(), [USER])
        else:
            left = erase(store, load_settings(), [USER], now=True)
            assert not set(half) & set(store.run_keys())
        assert (left.remaining, left.waiting) == ([], [])
        assert half_removed(store) == []
        assert not list(store.root.rglob(".tmp-*"))
        shutil.rmtree(store.root)
    assert n_half_removed > 10


def half_remove(store: Store, run_key: str) -> None:
    """As if the removal was killed after its first steps."""
    (store.root / "manifests" / f"{run_key}.left").touch()
    (store.root / "manifests" / f"{run_key}.json").unlink()


def test_a_half_removed_run_that_is_repeated_begins_anew(erased: Store, tmp_path: Path):
    store = Store(shutil.copytree(erased.root, tmp_path / "store", symlinks=True))
    half_remove(store, "n2")
    run_task("ingest", store, load_settings(QUICK), "n2")
    assert store.run_keys() == ["n1", "n3"]
    assert half_removed(store) == []
    run_task("normalize", store, load_settings(QUICK), "n2")
    prune(store, keep_runs=9, run_key="n3")
    assert store.run_keys() == ["n1", "n2", "n3"], "it is under way again"


def test_a_run_that_lost_its_manifest_after_an_erasure_is_cleaned(erased: Store, tmp_path: Path):
    """As older versions left it: nothing says that the run was half removed."""
    store = Store(shutil.copytree(erased.root, tmp_path / "store", symlinks=True))
    for name in ("n1.json", "n1.left"):
        (store.root / "manifests" / name).unlink(missing_ok=True)
    clean_published(store)
    left = look(store, load_settings(), [USER])
    assert (left.remaining, left.waiting) == ([], [])
    assert "n1" in store.run_keys()


def test_a_record_whose_write_failed_goes_with_its_run(erased: Store, tmp_path: Path):
    """The disk was full when a publication cleaned the run, and the next one removes it."""
    store = Store(shutil.copytree(erased.root, tmp_path / "store", symlinks=True))
    unfinished = store.root / "manifests" / ".tmp-n1.json"
    unfinished.write_text(f'{{"first_id": {USER}}}')
    prune(store, keep_runs=1, run_key="n3")
    assert store.run_keys() == ["n3"]
    assert not unfinished.exists()
