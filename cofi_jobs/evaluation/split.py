"""The split of ratings into those that a model learns from and those that it is tested on."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cofi_jobs.core.arrays import tally
from cofi_jobs.core.errors import DataError
from cofi_jobs.core.scale import Scale
from cofi_jobs.settings.fields import Settings

DAY = np.timedelta64(24 * 60 * 60, "s")


def newest_of_each_user(user_index: np.ndarray, share: float) -> np.ndarray:
    """Mask of each user's last `share` of ratings, at least one, but never a user's only rating.

    `user_index` is sorted, and each user's ratings are in order of time.
    """
    counts = tally(user_index, user_index[-1] + 1 if len(user_index) else 0)
    held_out = np.minimum(np.maximum(1, np.floor(counts * share)), counts - 1).astype(np.int64)
    ends, some = np.cumsum(counts), held_out > 0
    # 1 from the first one held out of a user on, 0 again from the next user on: a byte a rating.
    steps = np.zeros(len(user_index) + 1, np.int8)
    steps[(ends - held_out)[some]] += 1
    steps[ends[some]] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool)


def newest_days(time: np.ndarray, days: float) -> np.ndarray:
    """Mask of the ratings of the last `days` before the newest; `time` is datetime64, and one without is old.

    Raises DataError if nothing would be left to learn from.
    """
    if np.isnat(time).all():
        return np.zeros(len(time), bool)
    newest = time[~np.isnat(time)].max()
    mask = time > newest - np.timedelta64(int(days * DAY.astype(int)), "s")
    if mask.all():
        raise DataError(
            f"found no rating older than the {days:g} days that test_days holds out; lower it"
        )
    return mask


def holdout_mask(
    user_index: np.ndarray, time: np.ndarray | None, settings: Mapping[str, Any]
) -> np.ndarray:
    """Mask of the test ratings, which a holdout model does not see: the newest.

    They are those of the last `test_days` if `time` is given, else a share of each user's.
    """
    if time is None:
        return newest_of_each_user(user_index, settings["test_share"])
    return newest_days(time, settings["test_days"])


def relevant_from(settings: Settings, scale: Scale) -> float:
    """The rating from which a test rating is relevant: the setting, else three quarters up."""
    return scale.relevant_from if settings.liked_from is None else settings.liked_from
