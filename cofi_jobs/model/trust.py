"""How far an account is trusted: the weight of its ratings in all that others see.

An attacker pushes an item by opening accounts that rate it (a shilling attack: Lam & Riedl 2004,
WWW). Such accounts are new, or rate nothing else. Their ratings count less until the accounts are
older: in J, in the means and the evidence of items, in the popular items. They count in full for
the accounts themselves: a user's exact row does not depend on that weight.
"""

import numpy as np

LONGEST_SHARE = 0.1  # of the time from the first rating to the newest, in which accounts are new


def account_trust(
    n_ratings: np.ndarray,
    first: np.ndarray,
    newest: np.datetime64,
    weight: float,
    days: float,
    oldest: np.datetime64 | None = None,
) -> np.ndarray:
    """t of each account (n_users,), float32: `weight` of one that is new or has one rating, else 1.

    `n_ratings` (n_users,) are its ratings, `first` (n_users,) the time of the first, datetime64,
    NaT without a time. An account is new until its first rating is `days` older than the `newest`
    rating of all, or a tenth of the time that all ratings span, if that is less: in a young store
    not all accounts are new. An account without a time is not new. `oldest` is the time of the
    first rating of all, which is needed where these are not all accounts.
    """
    doubtful = n_ratings <= 1
    timed = first[~np.isnat(first)]
    if len(timed):
        longest = (newest - (timed.min() if oldest is None else oldest)) * LONGEST_SHARE
        span = min(longest, np.timedelta64(round(days * 86_400), "s"))
        doubtful = doubtful | (first > newest - span)  # a comparison with NaT is False
    return np.where(doubtful, np.float32(weight), np.float32(1))
