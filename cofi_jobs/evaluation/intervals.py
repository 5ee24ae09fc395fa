"""Bootstrap intervals of means over users, and of differences between means."""

from collections.abc import Mapping

import numpy as np

from cofi_jobs.evaluation.metrics import Mean, finite

DRAWS = 1000
CELLS = 20_000

Interval = tuple[float | None, float | None]


def intervals(
    means: Mapping[str, Mean], pairs: Mapping[str, tuple[Mean, Mean]], seed: int
) -> dict[str, Interval]:
    """95 % bootstrap intervals over users, by name.

    There is one of each mean, and one of each pair's difference (first less second). Users are
    drawn with replacement (Efron 1979); all values come from the same draws, so differences are
    paired. More than 20,000 users are first put together at random into that many groups, which are
    then drawn: the sums of groups are as independent as those of users, and the cost stays bounded.
    """
    terms = {**{name: (mean,) for name, mean in means.items()}, **pairs}
    if not terms:
        return {}
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

    result: dict[str, Interval] = {}
    for name, (first, *second) in terms.items():
        values = drawn(first) - drawn(second[0]) if second else drawn(first)
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, (2.5, 97.5)) if len(values) else (np.nan, np.nan)
        result[name] = (finite(low), finite(high))
    return result


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
