"""The split of ratings into those that a model learns from and those that it is tested on."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.arrays import tally
from cofi_jobs.core.errors import DataError
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.settings.fields import Settings

DAY = np.timedelta64(24 * 60 * 60, "s")


@dataclass(frozen=True)
class Split:
    """The ratings of a run, parted, and the users whose lists are measured."""

    train: Ratings
    test: Ratings
    relevant: Ratings  # of the test ratings
    relevant_train: Ratings  # of the train ratings, by users who are measured
    measured: np.ndarray  # (n_users,) mask of the users whose lists are measured
    scale: Scale | None

    @classmethod
    def of(
        cls,
        ratings: Ratings,
        is_test: np.ndarray,
        measured: np.ndarray,
        relevant_from: float,
        scale: Scale | None,
    ) -> "Split":
        """The split by a mask of the test ratings; ratings from `relevant_from` on are relevant."""
        train, test = ratings.where(~is_test), ratings.where(is_test)
        relevant = test.where(test.rating >= relevant_from)
        # Item-kNN learns from pairs of these, which are many: the measured users' are enough.
        of_measured = (train.rating >= relevant_from) & measured[train.user_index]
        return cls(train, test, relevant, train.where(of_measured), measured, scale)


def newest_of_each_user(user_index: np.ndarray, share: float) -> np.ndarray:
    """Mask of each user's last `share` of ratings, at least one, but never a user's only rating.

    `user_index` is sorted, and each user's ratings are in order of time.
    """
    counts = tally(user_index, user_index[-1] + 1 if len(user_index) else 0)
    n_test = np.minimum(np.maximum(1, np.floor(counts * share)), counts - 1).astype(np.int64)
    ends, some = np.cumsum(counts), n_test > 0
    # 1 from a user's first test rating on, 0 again from the next user on: a byte a rating.
    steps = np.zeros(len(user_index) + 1, np.int8)
    steps[(ends - n_test)[some]] += 1
    steps[ends[some]] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool)


def newest_days(time: np.ndarray, days: float) -> np.ndarray:
    """Mask of the ratings of the last `days` before the newest rating.

    `time` is datetime64; a rating without a time is old. Raises DataError if nothing would be left
    to learn from.
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


def holdout_mask(user_index: np.ndarray, time: np.ndarray | None, settings: Settings) -> np.ndarray:
    """Mask of the test ratings, which a holdout model does not see: the newest.

    They are those of the last `test_days` if that is set and `time` is given, else a share of each
    user's.
    """
    if time is None or settings.test_days is None:
        return newest_of_each_user(user_index, settings.test_share)
    return newest_days(time, settings.test_days)


def relevant_from(settings: Settings, scale: Scale | None) -> float:
    """The rating from which a test rating is relevant: the setting, else three quarters up.

    Without the setting each event is relevant.
    """
    if settings.liked_from is not None:
        return settings.liked_from
    return 0.0 if scale is None else scale.relevant_from
