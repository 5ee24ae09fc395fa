"""Which items may be shown, and the groups of which a list shows few."""

import logging
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cofi_jobs.core.errors import DataError
from cofi_jobs.core.item_list import ItemList

log = logging.getLogger(__name__)


def allowed_items(item_ids: pa.Array, lists: Iterable[ItemList]) -> np.ndarray:
    """Mask of the items that the operator's lists allow to be shown.

    Without a list that allows, all items are allowed. An item on both kinds of list is denied. A
    warning names ids that are no item. Raises DataError if no item is left.
    """
    names = item_ids.cast(pa.string())
    allowed = np.ones(len(names), bool)
    for items in lists:
        listed = pa.array(items.ids, pa.string())
        unknown = listed.filter(pc.invert(pc.is_in(listed, names))).to_pylist()
        if unknown:
            first = ", ".join(unknown[:3])
            log.warning(
                "%s: %d of %d ids are no item: %s", items.file, len(unknown), len(listed), first
            )
        on_list = pc.is_in(names, listed).to_numpy(zero_copy_only=False)
        allowed &= on_list == items.allows
        if not allowed.any():
            one_item = "the id of an item, or no file"
            expected = one_item if items.allows else "at least one item left"
            raise DataError(
                f"found no item that may be shown after {items.file} ({len(listed)} ids); "
                f"expected {expected}"
            )
    return allowed


def rated_enough(allowed: np.ndarray, n_ratings: np.ndarray, least: int) -> np.ndarray:
    """Mask of the allowed items that have at least so many ratings.

    Raises DataError if no item is left.
    """
    shown = allowed & (n_ratings >= least)
    if not shown.any():
        raise DataError(
            f"found no item that may be shown with {least} ratings, the setting min_item_ratings; "
            f"the most rated has {n_ratings[allowed].max()}"
        )
    if not shown.all():
        n_few = int((allowed & ~shown).sum())
        log.info("%d items are excluded by lists/, %d by min_item_ratings", (~allowed).sum(), n_few)
    return shown


def first_groups(groups: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Number of each item's first group, int32; -1 for an item without a group.

    "Action|Adventure" is of the group "Action".
    """
    if isinstance(groups, pa.ChunkedArray):
        groups = groups.combine_chunks()
    first = pc.utf8_trim_whitespace(pc.list_element(pc.split_pattern(groups, "|"), 0))
    codes = pc.if_else(pc.equal(first, ""), None, first).dictionary_encode().indices
    return codes.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
