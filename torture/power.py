"""A power cut, emulated: of a folder only what was synced is left.

The strictest disk that POSIX allows: what was written to a file since its last sync is lost, and so
is every name that was made, moved or removed in a folder since the folder's last sync. On a disk
that keeps names first, only what was written to a file is lost.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torture.attack import Change


@dataclass(eq=False)
class Node:
    """A file or a folder: what it is now, and what of it is on the disk.

    `kept` is where the content of a file is that has no name any more; `synced` the bytes that are
    on the disk, None for all of them.
    """

    is_folder: bool = False
    names: dict[str, "Node"] = field(default_factory=dict)
    names_on_disk: dict[str, "Node"] = field(default_factory=dict)
    size: int = 0
    synced: int | None = 0
    kept: Path | None = None


def disk(path: Path) -> Node:
    """A folder of which all is on the disk."""
    if path.is_dir() and not path.is_symlink():
        names = {child.name: disk(child) for child in path.iterdir()}
        return Node(True, names, dict(names))
    return Node(size=path.lstat().st_size, synced=None)


def cut(top: Node, root: Path, changes: Iterable[Change], kept: Path, names_first: bool) -> None:
    """Make `root` what a power cut leaves of it, after `changes` to what was in `top`."""
    replay(top, root, changes, kept)
    places = dict(_places(top, root))
    rest = root.with_name(f"{root.name}-after-the-cut")
    _write(top, rest, places, names_first)
    shutil.rmtree(root)
    rest.rename(root)


def unseen(top: Node, root: Path) -> list[str]:
    """Files and folders that are not as a replay of the changes has left them in `top`."""
    expected = {path: node for node, path in _places(top, root) if path != root}
    actual = {path: node for node, path in _places(disk(root), root) if path != root}
    return sorted(
        str(path)
        for path in expected.keys() | actual.keys()
        if _described(expected.get(path)) != _described(actual.get(path)) and not path.is_symlink()
    )


def _described(node: Node | None) -> tuple[bool, int] | None:
    return (node.is_folder, node.size) if node else None


def replay(top: Node, root: Path, changes: Iterable[Change], kept: Path) -> None:
    """Do to `top`, which stands for `root`, what the changes did to `root`."""
    for change in changes:
        _replay(top, root, change, kept)


def _replay(top: Node, root: Path, change: Change, kept: Path) -> None:
    folder, name = _place(top, root, change.path)
    if folder is None:
        return
    node = folder.names.get(name) if name else folder
    match change.kind:
        case "create" | "mkdir" | "symlink":
            folder.names[name] = Node(
                change.kind == "mkdir", synced=None if change.kind == "symlink" else 0
            )
        case "unlink" | "rmdir":
            folder.names.pop(name).kept = kept / str(change.number)
        case "rename" | "exchange" | "link":
            _rename(top, root, change, kept, folder, name)
        case "write" | "truncate" if node:
            known = node.size if node.synced is None else node.synced
            node.synced = 0 if change.kind == "truncate" else known
            node.size = change.size
        case "fsync" if node:
            node.names_on_disk, node.synced = dict(node.names), None


def _rename(top: Node, root: Path, change: Change, kept: Path, folder: Node, name: str) -> None:
    into, other = _place(top, root, change.other)
    assert into is not None, "a store renames nothing out of itself"
    node, replaced = folder.names[name], into.names.get(other)
    into.names[other] = node
    if change.kind == "exchange" and replaced is not None:
        folder.names[name] = replaced
    elif change.kind == "rename":
        del folder.names[name]
        if replaced is not None:
            replaced.kept = kept / str(change.number)


def _place(top: Node, root: Path, path: str) -> tuple[Node | None, str]:
    """The folder of a path and its name there; None for a path that is not below the root."""
    if not path.startswith(f"{root}/"):
        return (top, "") if path == str(root) else (None, "")
    *folders, name = path.removeprefix(f"{root}/").split("/")
    node = top
    for part in folders:
        if part not in node.names:  # removed, but still open
            return None, ""
        node = node.names[part]
    return node, name


def _places(node: Node, path: Path) -> Iterator[tuple[Node, Path]]:
    yield node, path
    for name, child in node.names.items():
        yield from _places(child, path / name)


def _write(node: Node, target: Path, places: dict[Node, Path], names_first: bool) -> None:
    if node.is_folder:
        target.mkdir()
        names = node.names if names_first else node.names_on_disk
        for name, child in names.items():
            _write(child, target / name, places, names_first)
        return
    source = places.get(node) or node.kept
    assert source is not None
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif not source.exists():  # never had a name that lasted
        target.touch()
    else:
        shutil.copy2(source, target)
        if node.synced is not None:
            os.truncate(target, min(node.synced, target.stat().st_size))
