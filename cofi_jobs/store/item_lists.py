"""The files lists/allow.txt and lists/deny.txt of a store."""

import re
from pathlib import Path

from cofi_jobs.core.errors import DataError
from cofi_jobs.core.ids import clean_id
from cofi_jobs.core.item_list import ItemList
from cofi_jobs.store.store import Store

COMMENT = re.compile(r"(^|\s+)#.*")


def read_item_lists(store: Store) -> list[ItemList]:
    """The lists that the store has, allow.txt first."""
    folder = store.item_lists
    files = ((folder / "allow.txt", True), (folder / "deny.txt", False))
    read = ((path, listed_ids(path), allows) for path, allows in files)
    return [ItemList(str(path), ids, allows) for path, ids, allows in read if ids is not None]


def listed_ids(path: Path) -> list[str] | None:
    """The ids in a file, one a line, None if there is no file.

    Blank lines and # comments are skipped; a # inside an id is part of the id.
    Raises DataError if the file is not UTF-8 text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}; expected one item id a line") from None
    cells = (COMMENT.sub("", line.rstrip("\r")) for line in lines)
    return [item_id for cell in cells if (item_id := clean_id(cell))]
