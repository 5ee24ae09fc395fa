"""Folders in which others drop files: which files are complete and ready to be read."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)


def drop_files(folder: Path) -> list[Path]:
    """Files in a drop folder, by name, without hidden and unfinished ones (.tmp, .part)."""
    return sorted(path for path in folder.iterdir() if path.is_file() and is_dropped(path.name))


def is_dropped(name: str) -> bool:
    """Whether a file of this name is there to be read: it is not hidden, and not being written."""
    return not name.startswith((".", "_")) and not name.endswith((".tmp", ".part"))


def settled(paths: Sequence[Path], seconds: float) -> list[Path]:
    """Those files that did not change for so many seconds; waits until this is known of all."""
    before = {path: path.stat() for path in paths}
    oldest = time.time() - seconds
    young = [path for path, stat in before.items() if stat.st_mtime > oldest]
    if not young:
        return list(paths)
    time.sleep(min(seconds, max(before[path].st_mtime for path in young) - oldest))
    unsettled = set()
    for path in sorted(young):
        now = path.stat() if path.exists() else None
        if now is None or (now.st_size, now.st_mtime_ns) != (
            before[path].st_size,
            before[path].st_mtime_ns,
        ):
            unsettled.add(path)
            log.warning("%s is still being written, so it is left for the next run", path)
    return [path for path in paths if path not in unsettled]
