"""Links in folders of this machine: fsspec lists them, and follows none."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cofi_jobs.store.drops import is_dropped

log = logging.getLogger(__name__)


def followed(info: Mapping[str, Any]) -> Mapping[str, Any]:
    """A link to a file as that file, under the link's name; all else as it is listed."""
    if not info.get("islink"):
        return info
    path = Path(info["name"])
    with suppress(OSError):  # it was removed meanwhile, or is in a folder that is closed
        if path.is_file():
            stat = path.stat()
            return {**info, "type": "file", "size": stat.st_size, "mtime": stat.st_mtime}
    if is_dropped(path.name):
        log.warning("%s is left: it is a link, and leads to no file that can be read", path)
    return info
