"""Files and folders on a disk, replaced whole or not at all, whenever the process is killed.

New content is written under a temporary name, forced to disk and then renamed.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cofi_jobs.core.errors import StoreError
from cofi_jobs.store.layout import SPILL, TEMPORARY


@contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """A temporary folder to write into. On success it replaces `target`, on an error nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new, old = (target.with_name(f"{TEMPORARY}{word}-{target.name}") for word in ("new", "old"))
    if old.exists() and not target.exists():  # killed between the two renames below
        old.rename(target)
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir()
    try:
        yield new
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    for path in new.rglob("*"):
        if path.is_file():
            sync(path)
    if target.exists():
        target.rename(old)
    new.rename(target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


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
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(TEMPORARY + path.name)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    temporary = path.with_name(TEMPORARY + path.name)
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def parse_json(text: str | bytes, shown: str) -> Any:
    """Content of a record. Raises StoreError, with its name as `shown`, if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise StoreError(f"{shown} is not valid JSON: {error}") from None


def point_link(link: Path, target: Path) -> None:
    """Make a symbolic link, or change where it points, in one step."""
    temporary = link.with_name(TEMPORARY + link.name)
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def finish_replacements(root: Path, but: Path) -> None:
    """Finish or undo replacements of killed processes below `root`, but for the folder `but`."""
    for path in [*root.rglob(f"{TEMPORARY}*"), *root.rglob(SPILL)]:
        if path.is_relative_to(but):
            continue
        target = path.with_name(path.name.removeprefix(f"{TEMPORARY}old-"))
        if path.name.startswith(f"{TEMPORARY}old-") and not target.exists():
            path.rename(target)  # killed between the two renames of replace_folder
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


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
