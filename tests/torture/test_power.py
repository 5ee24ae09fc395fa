"""What a power cut leaves of a folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from torture import power
from torture.attack import Change

Made = list[tuple[str, str, str, int]]  # kind, path, second path, size


def cut(tmp_path: Path, work: Callable[[Path], Made], names_first: bool) -> Path:
    """A folder with the synced file "old" after `work`, whose changes it returns, and the cut."""
    root, kept = tmp_path / "store", tmp_path / "kept"
    root.mkdir()
    kept.mkdir()
    (root / "old").write_text("old")
    top = power.disk(root)
    changes = [
        Change(number, kind, str(root / path), str(root / other) if other else "", size)
        for number, (kind, path, other, size) in enumerate(work(root), 1)
    ]
    power.cut(top, root, changes, kept, names_first)
    return root


def new_file(root: Path) -> Made:
    (root / "new").write_text("1234")
    return [("create", "new", "", 0), ("write", "new", "", 4)]


def test_without_a_sync_of_its_folder_a_new_file_is_lost(tmp_path):
    root = cut(tmp_path, lambda r: [*new_file(r), ("fsync", "new", "", 4)], names_first=False)
    assert [path.name for path in root.iterdir()] == ["old"]


@pytest.mark.parametrize("names_first", [True, False])
def test_without_a_sync_of_its_own_a_file_is_empty(tmp_path, names_first: bool):
    root = cut(tmp_path, lambda r: [*new_file(r), ("fsync", ".", "", 0)], names_first)
    assert (root / "new").read_text() == ""


def test_what_was_synced_stays(tmp_path):
    synced = [("fsync", "new", "", 4), ("fsync", ".", "", 0)]
    root = cut(tmp_path, lambda r: [*new_file(r), *synced], names_first=False)
    assert (root / "new").read_text() == "1234"


@pytest.mark.parametrize(("names_first", "content"), [(True, "1234"), (False, "old")])
def test_a_rename_counts_once_its_folder_is_synced(tmp_path, names_first: bool, content: str):
    def replaced(root: Path) -> Made:
        changes = new_file(root)
        (root.parent / "kept" / "4").hardlink_to(root / "old")
        (root / "new").replace(root / "old")
        return [*changes, ("fsync", "new", "", 4), ("rename", "new", "old", 0)]

    root = cut(tmp_path, replaced, names_first)
    assert [path.name for path in root.iterdir()] == ["old"]
    assert (root / "old").read_text() == content
