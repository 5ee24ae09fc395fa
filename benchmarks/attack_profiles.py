"""Accounts that push an item: the profiles of the literature on shilling attacks.

Each account gives one item the highest rating, and rates others so as to look usual:

- random: drawn items, with ratings drawn around the mean of all
- average: drawn items, with ratings drawn around the mean of each
- bandwagon: the most popular items, with the highest rating, and drawn ones as in random
- one item: no others

Lam & Riedl 2004, WWW; Mobasher, Burke, Bhaumik & Williams 2007, ACM TOIT 7.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cofi_jobs.core.ratings import Ratings

Attack = Literal["random", "average", "bandwagon", "one item"]
ATTACKS: tuple[Attack, ...] = ("random", "average", "bandwagon", "one item")
POPULAR = 5  # items that a bandwagon profile is about
HIGHEST = 0.99  # the quantile of ratings that a push has: the top of a scale, a high count


def attacked(
    real: Ratings, attack: Attack, item: int, n_accounts: int, rng: np.random.Generator
) -> Ratings:
    """All ratings, with those of `n_accounts` more users who push `item`.

    They rate as many items as the median of the real users, in a drawn order.
    """
    crowd = _Crowd.of(real, item)
    accounts = [_profile(crowd, attack, item, rng) for _ in range(n_accounts)]
    sizes = [len(items) for items, _ in accounts]
    users = np.repeat(np.arange(real.n_users, real.n_users + n_accounts), sizes)
    items, ratings = (np.concatenate(column) for column in zip(*accounts, strict=True))
    return replace(
        real,
        user_index=np.append(real.user_index, users.astype(np.int32)),
        item_index=np.append(real.item_index, items.astype(np.int32)),
        rating=np.append(real.rating, ratings.astype(np.float32)),
        n_users=real.n_users + n_accounts,
    )


@dataclass(frozen=True)
class _Crowd:
    """What accounts imitate: the real users and their items, without the pushed one."""

    others: np.ndarray  # rated items
    means: np.ndarray  # of their ratings
    popular: np.ndarray  # the most rated of them
    size: int  # ratings of a usual user
    levels: np.ndarray  # ratings that there are
    highest: float
    mean: float
    deviation: float

    @classmethod
    def of(cls, real: Ratings, item: int) -> "_Crowd":
        counts = np.bincount(real.item_index, minlength=real.n_items)
        sums = np.bincount(real.item_index, real.rating, minlength=real.n_items)
        others = np.flatnonzero((counts > 0) & (np.arange(real.n_items) != item))
        return cls(
            others,
            sums[others] / counts[others],
            others[np.argsort(-counts[others], kind="stable")][:POPULAR],
            int(np.median(np.bincount(real.user_index))),
            np.unique(real.rating),
            float(np.quantile(real.rating, HIGHEST, method="inverted_cdf")),
            float(real.rating.mean()),
            float(real.rating.std()),
        )


def _profile(
    crowd: _Crowd, attack: Attack, item: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The items that one account rates, and its ratings."""
    size = 0 if attack == "one item" else min(crowd.size, len(crowd.others))
    place = rng.choice(len(crowd.others), size, replace=False)
    chosen = crowd.others[place]
    centre = crowd.means[place] if attack == "average" else crowd.mean
    drawn = rng.normal(centre, crowd.deviation, size)
    ratings = crowd.levels[np.abs(crowd.levels[:, None] - drawn).argmin(axis=0)]
    if attack == "bandwagon":
        rest = ~np.isin(chosen, crowd.popular)
        rest[:POPULAR] = False  # as many items as in the other attacks
        chosen = np.append(chosen[rest], crowd.popular)
        ratings = np.append(ratings[rest], np.full(len(crowd.popular), crowd.highest))
    order = rng.permutation(len(chosen) + 1)
    return np.append(chosen, item)[order], np.append(ratings, crowd.highest)[order]
