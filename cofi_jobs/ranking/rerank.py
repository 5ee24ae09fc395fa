"""How a user's list is chosen from the scores: few items of a group, and items that differ.

Both act in the choice of k items, so a list is full wherever enough items are eligible.
"""

import numpy as np

from cofi_jobs.ranking.top_k import top_k

POOL = 5  # the first pool of candidates, as a multiple of the list's length
GROWTH = 4
POOL_BYTES = 64 << 20  # of the candidates' vectors held at once


def choose(
    scores: np.ndarray,
    k: int,
    unit: np.ndarray,
    groups: np.ndarray | None = None,
    max_per_group: int = 0,
    diversity: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """A list of k columns for each row of scores, in order, and their scores; -inf as in `top_k`.

    `unit` (n_columns, n_factors) are the items' vectors of length 1, `groups` (n_columns,) their
    groups, -1 for none. With `max_per_group` a list holds at most so many items of a group; items
    without a group are not limited. With `diversity` d the next item of a list is the one with the
    largest

        (1 - d) * score - d * (largest cosine to an item chosen before),

    maximal marginal relevance (Carbonell & Goldstein 1998, SIGIR). The score is scaled to 0..1 over
    the user's pool of candidates: those of the 5 k largest scores, 20 k and so on if the limit on
    groups lets fewer than k of them in.
    """
    if groups is None or not max_per_group:
        groups, max_per_group = np.full(scores.shape[1], -1, np.int32), 0
    if not (max_per_group or diversity):
        return top_k(scores, k)
    k = min(k, scores.shape[1])
    return _choose(scores, k, unit, groups, max_per_group, diversity, POOL * k)


def _choose(
    scores: np.ndarray,
    k: int,
    unit: np.ndarray,
    groups: np.ndarray,
    limit: int,
    diversity: float,
    size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """`choose` from pools of `size` candidates, and from larger ones for users who need them."""
    pool, values = top_k(scores, size)
    group = groups[pool]
    within = np.isfinite(values)
    if limit:
        within &= (group < 0) | (_earlier_of_the_same(group) < limit)
    # The k largest within the limit are in the pool, or the pool is all there is.
    all_there_is = ~np.isfinite(values[:, -1]) | (pool.shape[1] == scores.shape[1])
    done = (within.sum(axis=1) >= k) | all_there_is
    if diversity:
        places = np.zeros((len(pool), k), np.int64)
        rows = np.flatnonzero(done)
        at_once = max(1, POOL_BYTES // (4 * pool.shape[1] * unit.shape[1]))
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            vectors = unit[pool[part]]
            places[part] = _diverse(values[part], vectors, group[part], k, limit, diversity)
    else:
        places = np.argsort(~within, axis=1, kind="stable")[:, :k]
        values = np.where(within, values, -np.inf)
    no_item = np.full((len(values), 1), -np.inf, values.dtype)  # place -1
    values = np.take_along_axis(np.concatenate([values, no_item], axis=1), places, axis=1)
    columns = np.take_along_axis(pool, places, axis=1)
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
    """Places (n, k) in pools of candidates with falling `values` (n, size), as `choose` says.

    -1 where no candidate is left. `vectors` (n, size, n_factors) have length 1.
    """
    available = np.isfinite(values)
    least = np.where(available, values, np.inf).min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # rows without a candidate, or with equal scores only
        scaled = (values - least) / np.maximum(values[:, :1] - least, np.finfo(np.float32).tiny)
        relevance = (1 - diversity) * scaled
    closest = np.zeros(values.shape, np.float32)  # before the first choice nothing is close
    used = np.zeros(values.shape, np.int32)
    rows, places = np.arange(len(values)), np.full((len(values), k), -1)
    for rank in range(k):
        best = np.where(available, relevance - diversity * closest, -np.inf).argmax(axis=1)
        places[:, rank] = np.where(available[rows, best], best, -1)
        cosine = (vectors @ vectors[rows, best][:, :, None])[:, :, 0]
        closest = np.maximum(closest, cosine) if rank else cosine
        available[rows, best] = False
        if limit:
            used += (group == group[rows, best][:, None]) & (group >= 0)
            available &= used < limit
    return places
