"""The split of ratings into those that a model learns from and those that it is tested on."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.arrays import summed, tally
from cofi_jobs.core.errors import DataError
from cofi_jobs.core.ratings import Ratings, joined_ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.split_order import SplitOrder, order_of_split
from cofi_jobs.settings.fields import Settings

DAY = np.timedelta64(24 * 60 * 60, "s")
DRAWS = 1 << 16  # a draw is below this number


@dataclass(frozen=True)
class SplitCounts:
    """Counts of the ratings of some users, parted; those of others are added by +."""

    n_users: int
    n_served: int  # users who have train ratings, and so a list
    n_tested: np.ndarray  # (n_items + 1,) users with test ratings, by their number of train ratings
    n_test: int  # test ratings
    item_train: np.ndarray  # (n_items,) number of train ratings
    item_trusted: np.ndarray  # (n_items,) the same, each as much as its user is trusted
    item_sums: np.ndarray  # (n_items,) sum of the train ratings
    n_liked: int  # of all ratings, train and test, those that are relevant
    order: SplitOrder | None  # whether it is a split in time; None: unknown

    def __add__(self, other: "SplitCounts") -> "SplitCounts":
        orders = [order for order in (self.order, other.order) if order]
        return SplitCounts(
            self.n_users + other.n_users,
            self.n_served + other.n_served,
            self.n_tested + other.n_tested,
            self.n_test + other.n_test,
            self.item_train + other.item_train,
            self.item_trusted + other.item_trusted,
            self.item_sums + other.item_sums,
            self.n_liked + other.n_liked,
            summed(orders) if orders else None,
        )


@dataclass(frozen=True)
class Split:
    """The ratings of the users whose lists are measured, parted, and counts of all users'.

    A measured user's number is its place among the measured ones.
    """

    train: Ratings
    relevant: Ratings  # of the test ratings
    relevant_train: Ratings  # of the train ratings
    n_test: np.ndarray  # (n_measured,) number of test ratings
    counts: SplitCounts

    @classmethod
    def of(
        cls,
        ratings: Ratings,
        is_test: np.ndarray,
        measured: np.ndarray,
        relevant_from: float,
    ) -> "Split":
        """The split by a mask of the test ratings; ratings from `relevant_from` on are relevant.

        `measured` is a mask of users.
        """
        is_relevant = ratings.rating >= relevant_from
        train, n = ratings.where(~is_test), ratings.n_users
        n_train, n_test = (tally(ratings.user_index[part], n) for part in (~is_test, is_test))
        counts = SplitCounts(
            n,
            int(np.count_nonzero(n_train)),
            tally(n_train[n_test > 0], ratings.n_items + 1),
            int(np.count_nonzero(is_test)),
            tally(train.item_index, ratings.n_items),
            train.trusted_counts(),
            tally(train.item_index, ratings.n_items, train.rating),
            int(np.count_nonzero(is_relevant)),
            order_of_split(ratings, is_test),
        )
        relevant, relevant_train = (
            ratings.where(part & is_relevant).of_some(measured) for part in (is_test, ~is_test)
        )
        return cls(train.of_some(measured), relevant, relevant_train, n_test[measured], counts)

    def __add__(self, other: "Split") -> "Split":
        """The split of both, from those of neighbouring users."""
        return Split(
            joined_ratings([self.train, other.train]),
            joined_ratings([self.relevant, other.relevant]),
            joined_ratings([self.relevant_train, other.relevant_train]),
            np.concatenate([self.n_test, other.n_test]),
            self.counts + other.counts,
        )


def newest_of_each_user(
    user_index: np.ndarray,
    share: float,
    tied: np.ndarray | None = None,
    draws: np.ndarray | None = None,
) -> np.ndarray:
    """Mask of each user's last `share` of ratings, at least one, but never a user's only rating.

    `user_index` is sorted, and each user's ratings are in order of time. `tied` is that of
    `Ratings`. With `draws` (n_ratings,) uint16, which rise within a tie, a tie that the line
    between train and test ratings divides is divided by draw (`_drawn`).
    """
    counts = tally(user_index, user_index[-1] + 1 if len(user_index) else 0)
    n_test = np.minimum(np.maximum(1, np.floor(counts * share)), counts - 1).astype(np.int64)
    ends = np.cumsum(counts)
    if tied is not None and draws is not None:
        users = np.flatnonzero(n_test > 0)
        users = users[tied[(ends - n_test)[users]]]
        n_drawn = _drawn(ends[users], n_test[users], counts[users] * share, tied, draws)
        n_test[users] = np.clip(n_drawn, 1, counts[users] - 1)
    some = n_test > 0
    # 1 from a user's first test rating on, 0 again from the next user on: a byte a rating.
    steps = np.zeros(len(user_index) + 1, np.int8)
    steps[(ends - n_test)[some]] += 1
    steps[ends[some]] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool)


def _drawn(
    ends: np.ndarray, n_test: np.ndarray, expected: np.ndarray, tied: np.ndarray, draws: np.ndarray
) -> np.ndarray:
    """How many test ratings users have whose `n_test` newest would divide a tie.

    Their newer ratings are test ratings, and of the tie those whose draw is above a threshold: then
    `expected` is the mean number of test ratings. The threshold does not fall as ratings come in.
    So a rating that is a test rating today was one yesterday too, or is new: a fixed number would
    put ratings of train to the test ratings each night. All arrays but the last two are (n_users,),
    `ends` is where each user's ratings end.
    """
    starts = np.flatnonzero(~tied)
    following = np.searchsorted(starts, ends - n_test, side="right")
    first = starts[following - 1]
    end = np.where(following < len(starts), starts.take(following, mode="clip"), len(tied))
    n_newer = ends - end
    share = (expected - n_newer) / (end - first)
    threshold = np.ceil((1 - share) * DRAWS)
    # Bisection, of all users at once.
    low, high = first, end
    while (open_ := low < high).any():
        middle = (low + high) // 2
        below = open_ & (draws[np.minimum(middle, len(draws) - 1)] < threshold)
        low, high = np.where(below, middle + 1, low), np.where(open_ & ~below, middle, high)
    return n_newer + end - low


def newest_days(time: np.ndarray, days: float, newest: np.datetime64 | None = None) -> np.ndarray:
    """Mask of the ratings of the last `days` before the newest rating.

    `time` is datetime64; a rating without a time is old. `newest` is given where these are the
    ratings of some users only. Raises DataError if nothing would be left to learn from.
    """
    if newest is not None:
        return time > newest - _seconds(days)
    if np.isnat(time).all():
        return np.zeros(len(time), bool)
    mask: np.ndarray = time > time[~np.isnat(time)].max() - _seconds(days)
    check_some_are_older(int(np.count_nonzero(~mask)), days)
    return mask


def check_some_are_older(n_older: int, days: float | None) -> None:
    """Raise DataError if `test_days` leaves no rating to learn from."""
    if days is not None and not n_older:
        raise DataError(
            f"found no rating older than the {days:g} days that test_days holds out; lower it"
        )


def _seconds(days: float) -> np.timedelta64:
    return np.timedelta64(int(days * DAY.astype(int)), "s")


def holdout_mask(
    ratings: Ratings,
    time: np.ndarray | None,
    settings: Settings,
    draws: np.ndarray | None = None,
    newest: np.datetime64 | None = None,
) -> np.ndarray:
    """Mask of the test ratings, which a holdout model does not see: the newest.

    They are those of the last `test_days` if that is set and any rating has a `time`, else a share
    of each user's, by `draws` where times are equal. `newest` is given where these are the ratings
    of some users only: the newest time of all.
    """
    known = time is not None and (newest is not None or not np.isnat(time).all())
    if settings.test_days is not None and time is not None and known:
        return newest_days(time, settings.test_days, newest)
    return newest_of_each_user(ratings.user_index, settings.test_share, ratings.tied, draws)


def relevant_from(settings: Settings, scale: Scale | None) -> float:
    """The rating from which a test rating is relevant: the setting, else three quarters up.

    Without the setting each event is relevant.
    """
    if settings.liked_from is not None:
        return settings.liked_from
    return 0.0 if scale is None else scale.relevant_from
