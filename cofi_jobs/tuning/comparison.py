"""The settings in use against the settings found, on test ratings that no trial has seen."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.cells import CellMean, in_cells
from cofi_jobs.evaluation.intervals import intervals
from cofi_jobs.evaluation.metrics import lower_is_better
from cofi_jobs.model.objectives import ranking_objective, rating_objective
from cofi_jobs.settings.fields import Settings
from cofi_jobs.tuning.measure import measure_over_seeds, tuned_for
from cofi_jobs.tuning.parts import Part
from cofi_jobs.tuning.space import ModelName

SEEDS = 3


@dataclass(frozen=True)
class Change:
    """A measure with two settings; the 95 % interval of the difference, over users."""

    before: float
    after: float
    difference: float  # after less before
    low: float | None
    high: float | None
    better: Literal["lower", "higher"]
    worse: bool  # only where a model is tuned for the measure

    @property
    def gain(self) -> float:
        """By which share of the value before the value after is better; 0 where that was 0."""
        difference = self.difference if self.better == "higher" else -self.difference
        return difference / abs(self.before) if self.before else 0.0

    def to_record(self) -> dict[str, Any]:
        """The change as `settings.json` and the outcome of tune have it."""
        return asdict(self)


def compare(
    part: Part, before: Settings, after: Settings, models: Sequence[ModelName], n_seeds: int = SEEDS
) -> dict[str, Change]:
    """The main measures of these models with two settings, by name, over fits with some seeds."""
    pairs: dict[str, tuple[CellMean, CellMean]] = {}
    seeds = range(before.seed, before.seed + n_seeds)
    measured = _measured(before)
    for model in models:
        old = new = measure_over_seeds(part, model, before, seeds)
        if not is_same(model, before, after, part.scale):
            new = measure_over_seeds(part, model, after, seeds)
        for name in measured[model]:
            pairs[name] = in_cells(new[name], before.seed), in_cells(old[name], before.seed)
    decisive = {tuned_for(model, before)[0] for model in models}
    result = {}
    for name, (low, high) in intervals({}, pairs, before.seed).items():
        new_value, old_value = (mean.value() or 0.0 for mean in pairs[name])
        difference, lower = new_value - old_value, lower_is_better(name)
        result[name] = Change(
            before=old_value,
            after=new_value,
            difference=difference,
            low=low,
            high=high,
            better="lower" if lower else "higher",
            worse=name in decisive and (difference > 0 if lower else difference < 0),
        )
    return result


def _measured(settings: Settings) -> dict[ModelName, tuple[str, ...]]:
    return {
        "rating": ("rmse",),
        "ranking": (f"ndcg@{settings.ndcg_at}", f"recall@{settings.recall_at}"),
    }


def is_same(model: ModelName, one: Settings, other: Settings, scale: Scale | None) -> bool:
    """Whether the model learns the same with both settings, so that one fit tells."""
    if one.n_factors != other.n_factors:
        return False
    if model == "rating":
        return rating_objective(one) == rating_objective(other)
    return ranking_objective(one, scale) == ranking_objective(other, scale)
