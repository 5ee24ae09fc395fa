"""The measures of our models beside those of baselines and of the published run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cofi_jobs.evaluation.baselines import PREDICTIONS, RANKINGS
from cofi_jobs.evaluation.cells import CellMean, Means
from cofi_jobs.evaluation.intervals import Interval, intervals
from cofi_jobs.evaluation.metrics import lower_is_better

RATING, RANKING = "rating", "ranking"
OURS = (RATING, RANKING)
PUBLISHED = "published"


@dataclass(frozen=True)
class Comparison:
    """One measure of one of our models, and the same measure of another model."""

    model: str  # "rating" or "ranking"
    measure: str
    against: str
    value: float | None
    other: float | None
    interval: Interval  # of the difference
    n_users: int  # over whom both are means
    effective_users: float  # so many of equal weight (`CellMean.effective_users`)

    @property
    def difference(self) -> float | None:
        """Our value less the other; None where one of them is missing."""
        return None if self.value is None or self.other is None else self.value - self.other

    def to_record(self) -> dict[str, Any]:
        """The comparison as manifests have it."""
        low, high = self.interval
        return {
            "head": self.model,
            "measure": self.measure,
            "against": self.against,
            "better": "lower" if lower_is_better(self.measure) else "higher",
            "own": self.value,
            "other": self.other,
            "difference": self.difference,
            "low": low,
            "high": high,
            "users": self.n_users,
            "effective_users": self.effective_users,
        }


@dataclass(frozen=True)
class _Pair:
    """Two means that are to be compared, over the same users."""

    model: str
    measure: str
    against: str
    mean: CellMean
    other: CellMean

    @property
    def name(self) -> str:
        return f"{self.model} {self.measure} {self.against}"


def compare(
    means: Means, compared: Means, published: Means, seed: int
) -> tuple[dict[str, dict[str, Interval]], list[Comparison]]:
    """Intervals of our own measures, and the difference from each baseline, measure by measure.

    `published` are the measures of the published run, empty if there is none; `compared` are our
    own over the same users.
    """
    pairs = _pairs(means, compared, published)
    ours = [model for model in OURS if model in means]
    by_name = intervals(
        {f"{model} {name}": mean for model in ours for name, mean in means[model].items()},
        {pair.name: (pair.mean, pair.other) for pair in pairs},
        seed,
    )
    by_model = {
        model: {name: by_name[f"{model} {name}"] for name in means[model]} for model in ours
    }
    comparisons = [
        Comparison(
            pair.model,
            pair.measure,
            pair.against,
            pair.mean.value(),
            pair.other.value(),
            by_name[pair.name],
            min(pair.mean.n_users, pair.other.n_users),
            min(pair.mean.effective_users(), pair.other.effective_users()),
        )
        for pair in pairs
    ]
    return by_model, comparisons


def _pairs(means: Means, compared: Means, published: Means) -> Sequence[_Pair]:
    pairs = []
    for model, baselines in ((RATING, PREDICTIONS[1:]), (RANKING, RANKINGS[1:])):
        if model not in means:
            continue
        for against in baselines:
            for measure, mean in means[model].items():
                pairs.append(_Pair(model, measure, against, mean, means[against][measure]))
        for measure, other in published.get(model, {}).items():
            pairs.append(_Pair(model, measure, PUBLISHED, compared[model][measure], other))
    return pairs
