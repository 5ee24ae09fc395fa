"""Folders in which others drop files: what is there to be read.

A dropped thing is a file, or a folder that stands for one file in parts, as Spark, Hive and pandas
write it. Names of folders are no data: a part below `date=2024-06-01/` has no column `date`.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cofi_jobs.core.errors import DataError
from cofi_jobs.store.paths import readable_path


def drops(folder: Path) -> list[Path]:
    """Files and folders in a drop folder, by name, without hidden and unfinished ones.

    Raises DataError for a name that cannot be used.
    """
    paths = sorted(path for path in folder.iterdir() if is_dropped(path.name))
    for path in paths:
        readable_path(path)
    return paths


def drop_files(folder: Path) -> list[Path]:
    """All files in a drop folder: those of `drops`, of folders their parts."""
    return [file for path in drops(folder) for file in parts(path)]


def is_dropped(name: str) -> bool:
    """Whether a file of this name is there to be read: it is not hidden, and not being written."""
    return not name.startswith((".", "_")) and not name.endswith((".tmp", ".part"))


def parts(path: Path) -> list[Path]:
    """The files of a dropped thing, in order of their names: the file itself, or a folder's parts.

    None if there is no such thing. Raises DataError for a name that cannot be used, and for a
    folder that must not be looked into.
    """
    if not path.is_dir():
        return [path] if path.is_file() else []
    files = sorted(
        file
        for file in files_below(path)
        if all(is_dropped(name) or _is_partition(name) for name in file.relative_to(path).parts)
    )
    for file in files:
        readable_path(file)
    return files


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, hidden ones too. Raises DataError if a folder is not readable."""

    def refuse(error: OSError) -> None:
        if isinstance(error, PermissionError):
            raise DataError(f"{error.filename} cannot be read: {error.strerror}") from None

    for root, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(root, name) for name in names)


def remove(file: Path, landing: Path) -> None:
    """Remove a dropped file, and the folder that it was a part of if it was the last part."""
    file.unlink()
    dropped = landing / file.relative_to(landing).parts[0]
    if dropped.is_dir() and not parts(dropped):
        shutil.rmtree(dropped)


def _is_partition(name: str) -> bool:
    """Whether a folder is one of Hive, such as `_day=1`: its underscore hides nothing."""
    return name.startswith("_") and "=" in name
