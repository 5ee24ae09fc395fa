"""Folders are replaced whole or not at all."""

import functools
import os
import shutil
import stat
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cofi_jobs.store import drops, files
from cofi_jobs.store.exchange import exchange
from cofi_jobs.store.store import Store
from tests.support.kills import die_before, killed_at_each_step


def test_a_folder_appears_whole_and_replaces_the_old_one(store: Store):
    target = store.table("a", "model")
    for content in ("first", "second"):
        with store.replace_folder(target) as folder:
            (folder / "file").write_text(content)
            assert not target.exists() or (target / "file").read_text() == "first"
        assert (target / "file").read_text() == content
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_an_error_leaves_the_old_folder(store: Store):
    target = store.table("a", "model")
    with store.replace_folder(target) as folder:
        (folder / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), store.replace_folder(target) as folder:
        (folder / "file").write_text("half")
        raise KeyboardInterrupt
    assert (target / "file").read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_a_stop_between_the_two_renames_is_healed(store: Store):
    target = store.table("a", "model")
    with store.replace_folder(target) as folder:
        (folder / "file").write_text("old")
    target.rename(target.with_name(".tmp-old-model"))  # as if killed there
    with pytest.raises(RuntimeError), store.replace_folder(target):
        assert (target / "file").read_text() == "old"
        raise RuntimeError
    assert (target / "file").read_text() == "old"


# ---- kills


def can_exchange(folder: Path) -> bool:
    """Whether two folders can change places here."""
    pair = [folder / name for name in ("one", "two")]
    for path in pair:
        path.mkdir()
    return exchange(*pair)


def test_two_folders_change_places_in_one_step(tmp_path: Path):
    if not can_exchange(tmp_path):
        pytest.skip("this system cannot exchange folders")
    (tmp_path / "one" / "file").touch()
    assert exchange(tmp_path / "one", tmp_path / "two")
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["file"]
    assert not exchange(tmp_path / "one", tmp_path / "missing")


def write(target: Path, content: str) -> None:
    with files.replace_folder(target) as folder:
        pq.write_table(pa.table({"content": [content]}), folder / "x.parquet")


def content_of(store: Store) -> str:
    """As a task reads a table, and as a reader does."""
    path, _ = store.location_for_readers("a", "model/x.parquet")
    texts = [
        pq.read_table(name)["content"][0].as_py() for name in (store.table("a", "model"), path)
    ]
    assert texts[0] == texts[1]
    return str(texts[0])


def replace_and_die(in_one_step: bool, root: str, step: int) -> None:
    if not in_one_step:
        files.exchange = lambda *_: False
    die_before(
        step,
        [(files, "exchange"), (files, "sync"), (shutil, "rmtree")]
        + [(os, name) for name in ("rename", "unlink", "rmdir", "mkdir")],
    )
    write(Store(root).table("a", "model"), "new")


@pytest.mark.slow
@pytest.mark.parametrize("in_one_step", [True, False])
def test_killed_between_any_two_steps_the_old_or_the_new_folder_is_found(
    tmp_path: Path, in_one_step: bool
):
    if in_one_step and not can_exchange(tmp_path):
        pytest.skip("this system cannot exchange folders")

    def fresh(step: int) -> Store:
        store = Store(tmp_path / str(step))
        write(store.table("a", "model"), "old")
        return store

    seen = set()
    for store, killed in killed_at_each_step(
        functools.partial(replace_and_die, in_one_step), fresh
    ):
        seen.add(content_of(store))
        assert killed or content_of(store) == "new"
        if in_one_step:
            assert (store.root / "runs" / "a" / "model").is_dir(), "never away"
        write(store.table("a", "model"), "next")
        assert content_of(store) == "next"
        assert [path.name for path in (store.root / "runs" / "a").iterdir()] == ["model"]
    assert seen == {"old", "new"}


@pytest.mark.parametrize("place", ["ratings", "rejected"])
def test_a_batch_between_the_two_renames_is_found(store: Store, place: str):
    folder = getattr(store, place)("a")
    with store.replace_folder(folder) as new:
        (new / "file").write_text("rows")
    folder.rename(folder.with_name(f".tmp-old-{folder.name}"))
    assert (getattr(store, place)("a") / "file").read_text() == "rows"
    with store.replace_folder(getattr(store, place)("a")) as new:
        (new / "file").write_text("others")
    assert (folder / "file").read_text() == "others"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[str]]:
    """The names in folders, by inode, when each was last forced to disk; of files none."""
    names: dict[int, set[str]] = {}
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        fsync(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            names[os.fstat(descriptor).st_ino] = set(os.listdir(descriptor))
        else:
            names[os.fstat(descriptor).st_ino] = set()

    monkeypatch.setattr(os, "fsync", spy)
    return names


def test_new_folders_and_what_is_renamed_into_them_are_forced_to_disk(
    tmp_path: Path, names: dict[int, set[str]]
):
    """A power cut may take back every name whose folder was not forced to disk after it came."""
    store = Store(tmp_path / "new" / "store").create()
    catalogue = tmp_path / "items.csv"
    catalogue.write_text("item,title\n1,One\n")
    store.add_to_catalogue(catalogue)
    for _ in range(2):
        with store.replace_folder(store.table("a", "recommendations")) as folder:
            (folder / "user_id=1").mkdir()
            (folder / "user_id=1" / "part-0.parquet").write_text("rows")
    store.records.write_outcome("a", "train", {"settings": {}, "seconds": 1.0})
    store.records.write_manifest("a", {"run_key": "a"})
    store.set_current("a")
    for path in (tmp_path / "new", *(tmp_path / "new").rglob("*")):
        if path.name.startswith(".lock-") or path.is_symlink():
            continue
        is_empty = path.is_dir() and not any(path.iterdir())
        assert is_empty or path.stat().st_ino in names, path
        assert path.name in names[path.parent.stat().st_ino] or path.parent == tmp_path, path
    assert "new" in names[tmp_path.stat().st_ino]
    assert "current" in names[store.root.stat().st_ino]


def test_what_was_removed_does_not_come_back(store: Store, names: dict[int, set[str]]):
    """A power cut may bring back every name whose folder was not forced to disk after it went."""
    store.records.write_outcome("a", "train", {"settings": {}, "seconds": 1.0})
    table = store.table("a", "recommendations")
    for _ in range(2):
        with store.replace_folder(table) as folder:
            (folder / "part-0.parquet").write_text("rows")
    assert names[table.parent.stat().st_ino] == {"recommendations"}  # the old one has gone
    store.records.forget_outcomes("a", ["train"])
    files.remove(table)
    (store.landing / "folder").mkdir()
    (store.landing / "folder" / "a.csv").write_text("rows")
    drops.remove(store.landing / "folder" / "a.csv", store.landing)
    for folder in (store.path("tasks/a"), table.parent, store.landing):
        assert names[folder.stat().st_ino] == set()
        assert [*folder.iterdir()] == []
    files.remove(table)  # nothing is there
