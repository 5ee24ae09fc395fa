"""Ratings that came since a run, on top of those that it has."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from cofi_jobs.core.arrays import ties_among
from cofi_jobs.core.errors import DataError
from cofi_jobs.core.scale import Scale


def checked_ratings(ratings: Mapping[int | str, float | None], scale: Scale | None) -> np.ndarray:
    """Ratings by item_id as an array (n,), float32: within the scale, or counts of events above 0.

    NaN stands for None, a withdrawal. Raises DataError for any other value.
    """
    withdrawn = np.array([value is None for value in ratings.values()], bool)
    numbers = np.array([_number(value) for value in ratings.values()], float)
    with np.errstate(over="ignore"):
        rating = numbers.astype(np.float32)  # as tables have it
    if scale is None:
        right = (rating > 0) & np.isfinite(rating)
    else:
        right = (rating >= np.float32(scale.low)) & (rating <= np.float32(scale.high))
    for item_id in np.array(list(ratings), object)[~(right | withdrawn)]:
        expected = f"a rating from {scale.low:g} to {scale.high:g}" if scale else "a count above 0"
        raise DataError(
            f"found {ratings[item_id]!r} for item {item_id}, expected {expected}, "
            "or None for a withdrawal"
        )
    return rating


def _number(value: object) -> float:
    """The value as a float, NaN if it is no number."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan


def in_time(times: Sequence[Any] | None, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The order in time of n ratings (places, the oldest first), and `tied` in that order.

    `times` are numbers, datetimes or texts that sort as times. None: the ratings are in order, and
    none is tied. Raises DataError if there are not n times, or times that cannot be compared.
    """
    if times is None:
        return np.arange(n), np.zeros(n, bool)
    expected = f"expected {n}, one for each rating, all numbers or all datetimes"
    if len(times) != n:
        raise DataError(f"found {len(times)} times, {expected}")
    try:
        place = np.unique(np.asarray(times, object), return_inverse=True)[1]
    except TypeError as error:
        raise DataError(f"found times that cannot be compared ({error}), {expected}") from None
    order = np.argsort(place, kind="stable")
    return order, np.append(False, np.diff(place[order]) == 0)[:n]


def with_new(
    item_index: np.ndarray,
    rating: np.ndarray,
    tied: np.ndarray,
    new_item_index: np.ndarray,
    new_rating: np.ndarray,
    new_tied: np.ndarray,
    scale: Scale | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A user's ratings (item, rating, ties; in order of time) after new ones, as a run has them.

    `tied` and `new_tied` are as in `core.ratings.Ratings`. A new rating replaces that of the same
    item; counts of events add up. NaN withdraws. New ratings are the newest, and tied to no old
    one. No item occurs twice among the old ones, nor among the new ones.
    """
    if scale is None:
        before = dict(zip(item_index.tolist(), rating.tolist(), strict=True))
        counts = [before.get(item, 0.0) for item in new_item_index.tolist()]
        new_rating = new_rating + np.array(counts, np.float32)
    keep, is_rating = ~np.isin(item_index, new_item_index), np.isfinite(new_rating)
    items = np.concatenate([item_index[keep], new_item_index[is_rating]])
    ratings = np.concatenate([rating[keep], new_rating[is_rating]])
    return items, ratings, np.append(ties_among(tied, keep), ties_among(new_tied, is_rating))
