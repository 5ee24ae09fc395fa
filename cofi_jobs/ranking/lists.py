"""Which items may be shown, and how a user's list is chosen from their scores.

All of it acts before or in the choice of k items, so a list is full wherever enough items are eligible.
"""

import logging
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cofi_jobs.core.errors import DataError
from cofi_jobs.ranking.top_k import top_k
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

POOL = 5  # the first pool of candidates, as a multiple of the list's length
GROWTH = 4
POOL_BYTES = 64 << 20  # of the candidates' vectors held at once
COMMENT = re.compile(r"(^|\s)#.*")


def listed_ids(path: Path) -> list[str] | None:
    """The ids in a file, one a line, None if there is no file; blank lines and comments (# ...) are passed over.

    A # inside an id is part of it. Raises DataError if the file is not UTF-8 text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}; expected one item id a line") from None
    return [text for line in lines if (text := COMMENT.sub("", line).strip())]


def allowed_items(store: Store, item_ids: pa.Array) -> np.ndarray:
    """Mask of the items that lists/allow.txt and lists/deny.txt of the store allow to be shown.

    Without allow.txt all are; what both name is denied. Ids that are no item are named in a warning. Raises DataError
    if nothing is left.
    """
    names = item_ids.cast(pa.string())
    allowed = np.ones(len(names), bool)
    for path, allows in ((store.lists / "allow.txt", True), (store.lists / "deny.txt", False)):
        listed = listed_ids(path)
        if listed is None:
            continue
        found = pa.array(listed, pa.string())
        unknown = found.filter(pc.invert(pc.is_in(found, names))).to_pylist()
        if unknown:
            log.warning(
                "%s: %d of %d ids are no item: %s",
                path,
                len(unknown),
                len(listed),
                ", ".join(unknown[:3]),
            )
        allowed &= pc.is_in(names, found).to_numpy(zero_copy_only=False) == allows
        if not allowed.any():
            expected = (
                "expected the id of an item, or no file"
                if allows
                else "expected at least one item left"
            )
            raise DataError(
                f"found no item that may be shown after {path} ({len(listed)} ids); {expected}"
            )
    return allowed


def first_groups(groups: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Number of each item's first group ("Action|Adventure" is of Action), int32; -1 where an item has none."""
    if isinstance(groups, pa.ChunkedArray):
        groups = groups.combine_chunks()
    first = pc.utf8_trim_whitespace(pc.list_element(pc.split_pattern(groups, "|"), 0))
    codes = pc.if_else(pc.equal(first, ""), None, first).dictionary_encode().indices
    return codes.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)


def choose(
    scores: np.ndarray,
    k: int,
    unit: np.ndarray,
    groups: np.ndarray | None = None,
    max_per_group: int = 0,
    diversity: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """A list of k columns for each row of scores, in order, and their scores; -inf as in `top_k`.

    `unit` (n_columns, n_features) are the items' vectors of length 1, `groups` (n_columns,) their groups, -1 for none.
    With `max_per_group` a list holds at most so many items of a group; items without a group are not limited. With
    `diversity` d the next item of a list is the one with the largest

        (1 - d) * score - d * (largest cosine to an item chosen before),

    maximal marginal relevance (Carbonell & Goldstein 1998, SIGIR). The score is scaled to 0..1 over the user's pool of
    candidates: those of the 5 k largest scores, 20 k and so on if the limit on groups lets fewer than k of them in.
    """
    if groups is None or not max_per_group:
        groups, max_per_group = np.full(scores.shape[1], -1, np.int32), 0
    if not (max_per_group or diversity):
        return top_k(scores, k)
    return _choose(
        scores, min(k, scores.shape[1]), unit, groups, max_per_group, diversity, POOL * k
    )


def _choose(
    scores: np.ndarray,
    k: int,
    unit: np.ndarray,
    groups: np.ndarray,
    limit: int,
    diversity: float,
    size: int,
) -> tuple[np.ndarray, np.ndarray]:
    pool, values = top_k(scores, size)
    group = groups[pool]
    within = np.isfinite(values)
    if limit:
        within &= (group < 0) | (_earlier_of_the_same(group) < limit)
    # The k largest within the limit are in the pool, or the pool is all there is.
    done = (
        (within.sum(axis=1) >= k) | ~np.isfinite(values[:, -1]) | (pool.shape[1] == scores.shape[1])
    )
    if diversity:
        places, rows = np.zeros((len(pool), k), np.int64), np.flatnonzero(done)
        at_once = max(1, POOL_BYTES // (4 * pool.shape[1] * unit.shape[1]))
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            places[part] = _diverse(
                values[part], unit[pool[part]], group[part], k, limit, diversity
            )
    else:
        places = np.argsort(~within, axis=1, kind="stable")[:, :k]
        values = np.where(within, values, -np.inf)
    values = np.concatenate(
        [values, np.full((len(values), 1), -np.inf, values.dtype)], axis=1
    )  # place -1: no item
    columns, values = (
        np.take_along_axis(pool, places, axis=1),
        np.take_along_axis(values, places, axis=1),
    )
    if not done.all():
        columns[~done], values[~done] = _choose(
            scores[~done], k, unit, groups, limit, diversity, GROWTH * size
        )
    return columns, values


def _earlier_of_the_same(group: np.ndarray) -> np.ndarray:
    """How many entries before it in its row are equal to each entry."""
    order = np.argsort(group, axis=1, kind="stable")
    sorted_, place = np.take_along_axis(group, order, axis=1), np.arange(group.shape[1])
    new = np.ones(group.shape, bool)
    new[:, 1:] = sorted_[:, 1:] != sorted_[:, :-1]
    since = place - np.maximum.accumulate(np.where(new, place, 0), axis=1)
    earlier = np.empty_like(since)
    np.put_along_axis(earlier, order, since, axis=1)
    return earlier


def _diverse(
    values: np.ndarray, vectors: np.ndarray, group: np.ndarray, k: int, limit: int, diversity: float
) -> np.ndarray:
    """Places (n, k) in pools of candidates with falling `values` (n, size), by maximal marginal relevance.

    -1 where nothing is left. `vectors` (n, size, n_features) have length 1.
    """
    open_ = np.isfinite(values)
    least = np.where(open_, values, np.inf).min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # rows where nothing is open, or all scores are equal
        scaled = (values - least) / np.maximum(values[:, :1] - least, np.finfo(np.float32).tiny)
        relevance = (1 - diversity) * scaled
    closest = np.zeros(values.shape, np.float32)  # before the first choice nothing is close
    used = np.zeros(values.shape, np.int32)
    rows, places = np.arange(len(values)), np.full((len(values), k), -1)
    for rank in range(k):
        best = np.where(open_, relevance - diversity * closest, -np.inf).argmax(axis=1)
        places[:, rank] = np.where(open_[rows, best], best, -1)
        cosine = (vectors @ vectors[rows, best][:, :, None])[:, :, 0]
        closest = np.maximum(closest, cosine) if rank else cosine
        open_[rows, best] = False
        if limit:
            used += (group == group[rows, best][:, None]) & (group >= 0)
            open_ &= used < limit
    return places
