"""The files lists/allow.txt and lists/deny.txt of a store."""

import re

from cofi_jobs.core.errors import DataError
from cofi_jobs.core.ids import clean_id
from cofi_jobs.core.item_list import ItemList
from cofi_jobs.store import layout
from cofi_jobs.store.source_roots import SourceRoots
from cofi_jobs.store.store import Store

COMMENT = re.compile(r"(^|\s+)#.*")


def read_item_lists(store: Store) -> list[ItemList]:
    """The lists that the store has, allow.txt first. A store in a bucket is read in place.

    Raises DataError if one is not UTF-8 text, or a link that leads to where no source may be.
    """
    lists, roots = [], SourceRoots.of(store)
    for name, allows in ((layout.ALLOWED_ITEMS, True), (layout.DENIED_ITEMS, False)):
        roots.check(store.path(name))
        content, file = store.read_file(name), store.shown(store.path(name))
        if content is not None:
            lists.append(ItemList(file, listed_ids(content, file), allows))
    return lists


def listed_ids(content: bytes, file: str) -> list[str]:
    """The ids in a file's content, one a line; `file` names it in messages.

    Blank lines and # comments are skipped; a # inside an id is part of the id.
    Raises DataError if the content is not UTF-8 text.
    """
    try:
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text: {error}; expected one item id a line") from None
    cells = (COMMENT.sub("", line) for line in lines)
    return [item_id for cell in cells if (item_id := clean_id(cell))]
