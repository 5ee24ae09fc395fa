"""Folders are replaced whole or not at all."""

import pytest

from cofi_jobs.store.store import Store


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
