"""Bootstrap intervals of means over users, and of differences between means.

The percentiles of a bootstrap are too narrow for few users: they lack the factor n / (n - 1) of a
sample's variance, and know nothing of Student's t (Hesterberg 2015, The American Statistician 69).
So both are made up for. Below `FEWEST_USERS` there is no interval at all: a difference between two
models that is the same small one for most users and a large one for some would often look certain.
"""

import math
from collections.abc import Mapping

import numpy as np

from cofi_jobs.evaluation.metrics import Mean, finite

DRAWS = 1000
CELLS = 20_000
FEWEST_USERS = 20  # effective ones (`Mean.effective_users`)
NORMAL = 1.96  # the 97.5 % point of the normal distribution

Interval = tuple[float | None, float | None]


def intervals(
    means: Mapping[str, Mean], pairs: Mapping[str, tuple[Mean, Mean]], seed: int
) -> dict[str, Interval]:
    """95 % bootstrap intervals over users, by name.

    There is one of each mean, and one of each pair's difference (first less second); none of fewer
    than `FEWEST_USERS` effective users. Users are drawn with replacement (Efron 1979), and the
    percentiles are moved away from the value by `widening`. All values come from the same draws, so
    differences are paired. More than 20,000 users are first put together at random into that many
    groups, which are then drawn: the sums of groups are as independent as those of users, and the
    cost stays bounded.
    """
    every = {**{name: (mean,) for name, mean in means.items()}, **pairs}
    sizes = {name: min(map(Mean.effective_users, group)) for name, group in every.items()}
    terms = {name: group for name, group in every.items() if sizes[name] >= FEWEST_USERS}
    result: dict[str, Interval] = dict.fromkeys(every, (None, None))
    if not terms:
        return result
    columns = {
        id(array): array
        for group in terms.values()
        for mean in group
        for array in (mean.numerator, mean.denominator)
    }
    draws = _draw(list(columns.values()), seed)
    place = {key: number for number, key in enumerate(columns)}

    def drawn(mean: Mean) -> np.ndarray:
        numerator, denominator = place[id(mean.numerator)], place[id(mean.denominator)]
        return mean.ratio(draws[:, numerator], draws[:, denominator])

    for name, group in terms.items():
        value, values = (_difference([of(mean) for mean in group]) for of in (_value, drawn))
        ends = np.percentile(values[np.isfinite(values)], (2.5, 97.5))
        ends = value + widening(sizes[name]) * (ends - value)
        if len(group) == 1:  # a mean lies among the values of its users
            of_users = group[0].ratio(group[0].numerator, group[0].denominator)
            ends = ends.clip(np.nanmin(of_users), np.nanmax(of_users))
        result[name] = finite(ends[0]), finite(ends[1])
    return result


def widening(n: float) -> float:
    """By how much a normal interval over n users must be wider: sqrt(n / (n - 1)) t / 1.96.

    t is the 97.5 % point of Student's distribution with n - 1 degrees of freedom, by the first
    terms of its expansion (Abramowitz & Stegun 1964, 26.7.5), to three digits from n = 20 on.
    """
    z, freedom = NORMAL, n - 1
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return math.sqrt(n / freedom) * t / z


def _value(mean: Mean) -> np.ndarray:
    return mean.ratio(mean.numerator.sum(), mean.denominator.sum())


def _difference(values: list[np.ndarray]) -> np.ndarray:
    """The first less the second, or the only one."""
    return values[0] - values[1] if len(values) > 1 else values[0]


def _draw(columns: list[np.ndarray], seed: int) -> np.ndarray:
    """Sums of the columns (n_users,) over the users of each draw: (DRAWS, number of columns)."""
    rng = np.random.default_rng(seed)
    n_users = len(columns[0])
    n = min(n_users, CELLS)
    cell = np.arange(n_users) if n == n_users else rng.integers(n, size=n_users)
    sums = np.stack([np.bincount(cell, array, minlength=n) for array in columns], axis=1)
    draws = np.empty((DRAWS, sums.shape[1]))
    for draw in range(DRAWS):
        draws[draw] = np.bincount(rng.integers(n, size=n), minlength=n) @ sums
    return draws
