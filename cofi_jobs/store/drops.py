"""Folders in which others drop files: which of these files can be read.

A dropped thing is a file, or a folder that stands for one file in parts, as Spark, Hive and pandas
write it. Names of folders are no data: a part below `date=2024-06-01/` has no column `date`.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath

from cofi_jobs.core.errors import DataError
from cofi_jobs.store import files


def drops(folder: Path) -> list[Path]:
    """Files and folders in a drop folder, by name, without hidden and unfinished ones."""
    return sorted(path for path in folder.iterdir() if is_dropped(path.name))


def drop_files(folder: Path, may_be: Callable[[Path], object] = bool) -> list[Path]:
    """All files in a drop folder: those of `drops`, of folders their parts.

    Files and folders of which `may_be` is false are left out.
    """
    return [file for path in filter(may_be, drops(folder)) for file in filter(may_be, parts(path))]


def is_dropped(name: str) -> bool:
    """Whether a file of this name is there to be read: it is not hidden, and not being written."""
    return not name.startswith((".", "_")) and not name.endswith((".tmp", ".part"))


def is_part(path: PurePath) -> bool:
    """Whether a file is there to be read that has this path below a dropped folder.

    The underscore of a folder such as `_day=1`, as Hive writes it, hides nothing.
    """
    return is_dropped(path.name) and all(
        is_dropped(folder) or (folder.startswith("_") and "=" in folder)
        for folder in path.parts[:-1]
    )


def parts(path: Path) -> list[Path]:
    """The files of a dropped thing, in order of their names: the file itself, or a folder's parts.

    None if there is no such thing. Raises DataError for a folder that must not be looked into.
    """
    if not path.is_dir():
        return [path] if path.is_file() else []
    return sorted(
        file for file in files_below(path) if is_part(file.relative_to(path)) and file.is_file()
    )


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, hidden ones too. Raises DataError if a folder is not readable."""

    def refuse(error: OSError) -> None:
        if isinstance(error, PermissionError):
            raise DataError(f"{error.filename} cannot be read: {error.strerror}") from None

    for root, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(root, name) for name in names)


def remove(file: Path, landing: Path) -> None:
    """Remove a dropped file, and the folder that it was a part of if it was the last part."""
    files.remove(file)
    dropped = landing / file.relative_to(landing).parts[0]
    if dropped.is_dir() and not parts(dropped):
        files.remove(dropped)
