"""Files and folders on a disk, replaced whole or not at all, whenever the process is killed.

New content is written under a temporary name, forced to disk and then renamed. The folder that has
the name is forced to disk after that, and each new folder with the one above it.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import IO, Any

from cofi_jobs.store.exchange import exchange
from cofi_jobs.store.layout import SPILL, TEMPORARY

NEW, OLD = f"{TEMPORARY}new-", f"{TEMPORARY}old-"  # a folder that replaces one; the one replaced


def make_folder(path: Path) -> None:
    """Make a folder, and those above it. The name of each new one is forced to disk."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """A temporary folder to write into. On success it replaces `target`, on an error nothing.

    `target` may be named as `standing` names it.
    """
    target = target.with_name(target.name.removeprefix(OLD))
    make_folder(target.parent)
    finish_replacement(target)
    new = target.with_name(NEW + target.name)
    new.mkdir()
    try:
        yield new
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    for path in (*new.rglob("*"), new):
        if path.exists():  # not a link to nowhere
            sync(path)
    _put_in_place(new, target)


def _put_in_place(new: Path, target: Path) -> None:
    """Give a new folder its name, in one step where the system can; the old folder goes."""
    old = target.with_name(OLD + target.name)
    if not target.exists():
        new.rename(target)
    elif exchange(new, target):
        old = new
    else:  # killed between these two, `standing` finds the old folder
        target.rename(old)
        new.rename(target)
    sync(target.parent)
    with suppress(OSError):  # then `finish_replacement` removes it
        remove(old)


def standing(folder: Path) -> Path:
    """Where a folder is to be read: under its own name, else where a killed replacement left it."""
    old = folder.with_name(OLD + folder.name)
    return old if not folder.exists() and old.exists() else folder


def standing_path(root: Path, name: PurePath | str) -> Path:
    """Where a file or folder below `root` is to be read; each folder on its way may be `standing`.

    A path that exists costs one system call.
    """
    path = root / name
    if path.exists():
        return path
    path = root
    for part in PurePath(name).parts:
        path = standing(path / part)
    return path


def open_file(root: Path, name: PurePath | str) -> IO[bytes]:
    """Open a file below `root` to read, where it stands.

    Raises FileNotFoundError if there is none, or a folder has its name.
    """
    try:
        for _ in range(2):  # a replacement may go on between the look and the opening
            with suppress(FileNotFoundError):
                return standing_path(root, name).open("rb")
        return standing_path(root, name).open("rb")
    except (IsADirectoryError, NotADirectoryError):
        raise FileNotFoundError(errno.ENOENT, "is no file", str(root / name)) from None


def finish_replacement(target: Path) -> None:
    """Finish or undo what a killed `replace_folder` left; only while no process replaces it."""
    new, old = (target.with_name(start + target.name) for start in (NEW, OLD))
    if standing(target) == old:
        old.rename(target)
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def replace_file(target: Path, staging: Path) -> Iterator[Path]:
    """A temporary file in `staging`. On success it replaces `target`; on an error nothing changes.

    `staging` is not the folder of `target`: readers that take every file of a table must not meet
    the temporary one.
    """
    temporary = staging / f"{TEMPORARY}file-{secrets.token_hex(8)}"
    try:
        yield temporary
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Replace a record: a reader finds the old one or the new one."""
    make_folder(path.parent)
    temporary = unfinished(path)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def unfinished(path: Path) -> Path:
    """Where a file or link is made before it gets its name. What fails may leave it there."""
    return path.with_name(TEMPORARY + path.name)


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    temporary = unfinished(path)
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there. A power cut after that does not bring it back."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()
    else:
        return
    sync(path.parent)


def touch(path: Path) -> None:
    """Make an empty file, or give it the present time."""
    make_folder(path.parent)
    path.touch()
    sync(path)
    sync(path.parent)


def point_link(link: Path, target: Path) -> None:
    """Make a symbolic link, or change where it points, in one step."""
    temporary = unfinished(link)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    sync(link.parent)


def finish_replacements(root: Path, folders: Iterable[str]) -> None:
    """Finish or undo replacements of killed processes in `root` itself, and below `folders` of it.

    What lies elsewhere is not ours.
    """
    names = f"{TEMPORARY}*", SPILL
    below = [path for folder in folders for name in names for path in (root / folder).rglob(name)]
    for path in [*below, *(path for name in names for path in root.glob(name))]:
        target = path.with_name(path.name.removeprefix(OLD))
        if path.name.startswith(OLD) and not target.exists():
            path.rename(target)  # killed between the two renames of replace_folder
        else:
            remove(path)


def parquet_files(folder: Path) -> list[Path]:
    """The Parquet files below a folder, in order. A user may have a folder named like one."""
    return sorted(path for path in folder.rglob("*.parquet") if path.is_file())


def sha256(path: Path) -> str:
    """Hex digest of a file's content, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Force a file or folder to disk, so that a rename never precedes what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
