"""Bootstrap intervals of means over users, and of differences between means.

The percentiles of a bootstrap are too narrow for few users: they lack the factor n / (n - 1) of a
sample's variance, and know nothing of Student's t (Hesterberg 2015, The American Statistician 69).
So both are made up for. Below `FEWEST_USERS` there is no interval at all: a difference between two
models that is the same small one for most users and a large one for some would often look certain.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cofi_jobs.evaluation.cells import CellMean
from cofi_jobs.evaluation.metrics import Mean, finite

DRAWS = 1000
FEWEST_USERS = 20  # effective ones (`CellMean.effective_users`)
NORMAL = 1.96  # the 97.5 % point of the normal distribution

Interval = tuple[float | None, float | None]


def intervals(
    means: Mapping[str, CellMean], pairs: Mapping[str, tuple[CellMean, CellMean]], seed: int
) -> dict[str, Interval]:
    """95 % bootstrap intervals over users, by name.

    There is one of each mean, and one of each pair's difference (first less second); none of fewer
    than `FEWEST_USERS` effective users. Cells are drawn with replacement (Efron 1979), which are
    single users or, of many, groups of them: their sums are as independent. The percentiles are
    moved away from the value by `widening`. All values come from the same draws, so differences are
    paired.
    """
    every = {**{name: (mean,) for name, mean in means.items()}, **pairs}
    sizes = {name: min(map(CellMean.effective_users, group)) for name, group in every.items()}
    terms = {name: group for name, group in every.items() if sizes[name] >= FEWEST_USERS}
    result: dict[str, Interval] = dict.fromkeys(every, (None, None))
    if not terms:
        return result
    cells = {id(mean): mean.cells for group in terms.values() for mean in group}
    drawn = dict(zip(cells, _draw(list(cells.values()), seed), strict=True))
    for name, group in terms.items():
        value = _difference([_value(mean.cells) for mean in group])
        values = _difference([drawn[id(mean)].values() for mean in group])
        ends = np.percentile(values[np.isfinite(values)], (2.5, 97.5))
        ends = value + widening(sizes[name]) * (ends - value)
        if len(group) == 1:  # a mean lies among the values of its users
            ends = ends.clip(group[0].lowest, group[0].highest)
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


def _draw(means: Sequence[Mean], seed: int) -> list[Mean]:
    """Each mean over cells as one over draws: (DRAWS,), the sums over the cells of each draw."""
    rng = np.random.default_rng(seed)
    sums = np.stack([array for mean in means for array in (mean.numerator, mean.denominator)], 1)
    n = len(sums)
    draws = np.empty((DRAWS, sums.shape[1]))
    for draw in range(DRAWS):
        draws[draw] = np.bincount(rng.integers(n, size=n), minlength=n) @ sums
    columns = iter(draws.T)
    return [Mean(next(columns), next(columns), mean.root) for mean in means]
