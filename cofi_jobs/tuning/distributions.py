"""The search space of a model as Optuna's distributions."""

from collections.abc import Mapping

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.schema import bounds
from cofi_jobs.tuning.space import Factor, Reach


def distributions(reaches: Mapping[str, Reach], settings: Settings) -> dict[str, BaseDistribution]:
    """Distributions around the values of `settings`, within the bounds that each setting allows.

    A setting that is 0 and searched by a factor would stay 0, so it is left out.
    """
    result: dict[str, BaseDistribution] = {}
    for name, reach in reaches.items():
        value, (least, most) = getattr(settings, name), bounds(name)
        by_factor = isinstance(reach, Factor)
        if by_factor and not value:
            continue
        low, high = _around(value, reach)
        low, high = max(low, least), min(high, most)
        if isinstance(value, int):
            result[name] = _few_integers(value, low, high)
        else:
            result[name] = FloatDistribution(low, high, log=by_factor)
    return result


def _around(value: float, reach: Reach) -> tuple[float, float]:
    if isinstance(reach, Factor):
        return value / reach.factor, value * reach.factor
    return value - reach.offset, value + reach.offset


def _few_integers(value: int, low: float, high: float) -> IntDistribution:
    """Some integers between `low` and `high`, `value` among them.

    Few, because a step of Adam is compiled once for each number of factors.
    """
    step = max(1, value // 4)
    below, above = int(value - low) // step, int(high - value) // step
    return IntDistribution(value - below * step, value + above * step, step=step)


def nearest(value: float, distribution: BaseDistribution) -> float:
    """The value of a distribution that is nearest to `value`."""
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    low, high = distribution.low, distribution.high
    value = min(max(value, low), high)
    if isinstance(distribution, FloatDistribution):
        return value
    return int(low + round((value - low) / distribution.step) * distribution.step)
