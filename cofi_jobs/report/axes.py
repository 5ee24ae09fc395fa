"""Where a value lies along an axis, in percent, and which ticks the axis has."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cofi_jobs.report.words import with_minus

STEPS = (1, 2, 2.5, 5, 10)  # of ticks, times a power of ten
TICKS = 5  # about so many
LINEAR_UP_TO = 1.0  # of a signed logarithmic axis


@dataclass(frozen=True)
class Tick:
    """A labelled place of an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """From `low` at 0 % to `high` at 100 %, along `scale`."""

    low: float
    high: float
    ticks: Sequence[Tick] = ()
    scale: Callable[[float], float] = float

    def at(self, value: float) -> float:
        """The place of a value in percent, within the axis."""
        low, high = self.scale(self.low), self.scale(self.high)
        share = (self.scale(value) - low) / (high - low) if high > low else 0.5
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def with_ticks(self, values: Sequence[float], form: str = "{:g}") -> "Axis":
        """The same axis with ticks at those of the values that it covers."""
        covered = (value for value in values if self.low <= value <= self.high)
        ticks = [Tick(self.at(value), with_minus(form.format(value))) for value in covered]
        return Axis(self.low, self.high, ticks, self.scale)


def linear(values: Sequence[float], *, zero: bool = False, form: str = "{:g}") -> Axis:
    """An axis around finite values, with round ticks; `zero`: it begins at 0 or includes it."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    low, high = (low if zero and low == 0 else low - pad), high + pad
    return Axis(low, high).with_ticks(round_values(low, high), form)


def logarithmic(values: Sequence[float]) -> Axis:
    """An axis of powers of ten around positive values."""
    positive = [value for value in values if value > 0] or [1.0]
    low = math.floor(math.log10(min(positive)))
    high = max(math.ceil(math.log10(max(positive))), low + 1)
    every = -(-(high - low) // TICKS)
    powers = [10.0**power for power in range(low, high + 1, every)]
    return Axis(10.0**low, 10.0**high, scale=math.log10).with_ticks(powers, "{:,.0f}")


def signed_logarithmic(values: Sequence[float]) -> Axis:
    """An axis through 0, linear near it and logarithmic beyond: it shows 1 % beside 300 %."""
    most = max([LINEAR_UP_TO, *map(abs, values)]) * 1.3
    low = -most if any(value < 0 for value in values) else -LINEAR_UP_TO / 2
    high = most if any(value > 0 for value in values) else LINEAR_UP_TO / 2
    powers = [10.0**power for power in range(1, 7)]
    ticks = [*(-power for power in reversed(powers)), 0.0, *powers]
    return Axis(low, high, scale=_signed_log).with_ticks(ticks, "{:,.0f}")


def round_values(low: float, high: float) -> list[float]:
    """About five round numbers between two."""
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    step = next(step * power for step in STEPS if step * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    numbers = np.arange(first, math.floor(high / step + 1e-9) + 1) * step
    return [float(f"{number:.10g}") + 0.0 for number in numbers]


def _signed_log(value: float) -> float:
    return math.copysign(math.log1p(abs(value) / LINEAR_UP_TO), value)
