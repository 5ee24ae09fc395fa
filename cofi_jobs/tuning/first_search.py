"""The search of a store's first run: settings that fit its ratings, within a few minutes.

It tries the settings in use and those of the portfolio with few steps, the best of them with all
steps, then more steps as long as these help, and then values around the best. Later runs use what
was found, and the weekly tuning goes on from there. It needs no Optuna.
"""

import logging
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cofi_jobs.core.errors import TrainingError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.schema import bounds, in_words
from cofi_jobs.tuning.measure import measure, tuned_for
from cofi_jobs.tuning.parts import Part
from cofi_jobs.tuning.portfolio import PORTFOLIO, Values
from cofi_jobs.tuning.space import Factor, ModelName, Reach, searched

log = logging.getLogger(__name__)

SHORT = 1 / 3  # of the steps: enough to tell a bad place from a good one
KEPT = 2  # places of the portfolio that are tried with all steps
GAIN = 0.003  # the least share by which twice the steps must be better
# The least share by which NDCG, or RMSE, must be better than with the settings in use: less may be
# luck, and the defaults are what was good on several sets of ratings.
LEAST_GAIN: dict[ModelName, float] = {"ranking": 0.01, "rating": 0.002}
FACTORS_STEP = 8  # numbers of factors are multiples of this, which matrices like


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, the measure that they gave, None where learning failed."""

    values: Values  # those that differ from the settings in use
    value: float | None
    seconds: float

    def to_record(self) -> dict[str, Any]:
        """The trial as `settings.json` and the outcome of train have it."""
        return {"settings": dict(self.values), "value": self.value, "seconds": self.seconds}


@dataclass
class FirstSearch:
    """The search for one model; `seconds` bound it, but the settings in use are always tried."""

    model: ModelName
    part: Part
    settings: Settings  # those in use
    seconds: float
    trials: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.measure_name, direction = tuned_for(self.model, self.settings)
        self.sign = 1 if direction == "minimize" else -1
        self.steps_name = f"{self.model}_steps"
        self.end = time.monotonic() + self.seconds

    def run(self) -> Values:
        """Search until the time is up; returns how the best settings differ from those in use.

        Nothing if they gain less than LEAST_GAIN.
        """
        places = self._best_places()
        # The settings in use first: all else is compared with them.
        in_use = self._try({})
        trials = [in_use] + [self._try(place) for place in places if place and self._in_time()]
        best = self._more_steps(min(trials, key=self._loss))
        rng = np.random.default_rng(self.settings.seed)
        while self._may_start(best):
            best = min(best, self._try(self._near(best.values, rng)), key=self._loss)
        return best.values if self._gains(best, in_use, LEAST_GAIN[self.model]) else {}

    def _best_places(self) -> list[Values]:
        """The best of the settings in use and the portfolio, each tried with few steps."""
        explicit, steps = self.settings.explicit, getattr(self.settings, self.steps_name)
        portfolio = PORTFOLIO[self.model]
        places: list[Values] = [
            {name: value for name, value in place.items() if name not in explicit}
            for place in ({}, *portfolio)
        ]
        if self.steps_name in explicit:
            few: Values = {}
        else:
            few = {self.steps_name: max(1, math.ceil(steps * SHORT))}
        short: list[tuple[float, int]] = []
        for number, place in enumerate(places):
            if number == 0 or self._in_time():
                short.append((self._loss(self._try({**place, **few})), number))
        return [places[number] for _, number in sorted(short)[:KEPT]]

    def _more_steps(self, best: Trial) -> Trial:
        """The same settings with as many steps as help: twice as many, and again."""
        if self.steps_name in self.settings.explicit:
            return best
        while True:
            steps = 2 * self._value(best.values, self.steps_name)
            if steps > self.settings.most_steps or not self._may_start(best, share=2):
                return best
            longer = self._try({**best.values, self.steps_name: steps})
            if not self._gains(longer, best, GAIN):
                return best
            best = longer

    def _near(self, values: Values, rng: np.random.Generator) -> Values:
        """Values around these, for all settings of the model that nobody set."""
        near = dict(values)
        of_events = self.part.scale is None
        for name, reach in searched(self.model, self.settings.explicit, of_events).items():
            near[name] = moved(self._value(values, name), reach, rng, *bounds(name))
        return near

    def _try(self, values: Values) -> Trial:
        start = time.monotonic()
        try:
            measures = measure(self.part, self.model, self.settings.model_copy(update=dict(values)))
            value = measures[self.measure_name].value()
        except TrainingError:
            value = None
        trial = Trial(values, value, round(time.monotonic() - start, 2))
        self.trials.append(trial)
        best = min(self.trials, key=self._loss)
        log.info("first settings of the %s model, trial %d: %s %s, best %s (%s)",
                 self.model, len(self.trials), self.measure_name, _shown(value),
                 _shown(best.value), in_words(best.values) or "as they are")  # fmt: skip
        return trial

    def _loss(self, trial: Trial) -> float:
        return math.inf if trial.value is None else self.sign * trial.value

    def _gains(self, trial: Trial, before: Trial, share: float) -> bool:
        """Whether a trial's measure is better by this share of the measure before, at least."""
        loss = self._loss(before)
        if math.isinf(loss):  # learning failed
            return self._loss(trial) < loss
        return self._loss(trial) <= loss - share * abs(loss)

    def _value(self, values: Values, name: str) -> Any:
        return values.get(name, getattr(self.settings, name))

    def _in_time(self) -> bool:
        return time.monotonic() < self.end

    def _may_start(self, like: Trial, share: float = 1.0) -> bool:
        """Whether a trial of `share` times the seconds of another is likely to end in time."""
        return time.monotonic() + share * like.seconds <= self.end


def moved(
    value: float, reach: Reach, rng: np.random.Generator, least: float, most: float
) -> float | int:
    """A value near `value`, as far as half of the reach in one standard deviation."""
    step = rng.standard_normal() / 2
    if isinstance(reach, Factor):
        result = value * reach.factor**step
    else:
        result = value + reach.offset * step
    result = float(min(max(result, least), most))
    if isinstance(value, int):
        return max(int(least), FACTORS_STEP * max(1, round(result / FACTORS_STEP)))
    return result


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
