"""The gate before publishing, which judges what a run made.

`evaluate` refuses the run if a check fails. A model fails only where its test ratings are evidence
that it is worse: where the whole confidence interval of the difference lies on the wrong side. With
too few users for an interval, the gate lets the run pass, and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.comparison import PUBLISHED, RANKING, RATING, Comparison
from cofi_jobs.evaluation.intervals import FEWEST_USERS
from cofi_jobs.evaluation.metrics import lower_is_better
from cofi_jobs.evaluation.similar_items import SIMILAR_HIT_RATE
from cofi_jobs.settings.fields import Settings


@dataclass(frozen=True)
class Check:
    """One measure against its bound, and the sentence for the operator."""

    name: str
    value: float
    bound: float
    passed: bool
    message: str
    better: Literal["lower", "higher"] = "higher"  # than the bound


@dataclass(frozen=True)
class Requirement:
    """A measure of one of our models that must not be surely worse than that of another model."""

    model: str
    measure: str
    against: str
    margin: float = 0.0  # by which share it may be worse
    setting: str = ""  # where the margin comes from

    def concerns(self, comparison: Comparison) -> bool:
        """Whether a comparison is about these models and this measure."""
        compared = (comparison.model, comparison.measure, comparison.against)
        return compared == (self.model, self.measure, self.against)

    def check(self, comparison: Comparison) -> Check:
        """Judge a comparison that this concerns and that has an interval."""
        value, other, (low, high) = comparison.value, comparison.other, comparison.interval
        assert value is not None
        assert other is not None
        assert low is not None
        assert high is not None
        lower = lower_is_better(self.measure)
        bound = other * (1 + self.margin if lower else 1 - self.margin)
        worse = value > bound if lower else value < bound
        certain = low > 0 if lower else high < 0
        margin = f", {self.setting} {self.margin:g}" if self.setting else ""
        return Check(
            f"{self.measure} of the {self.model} model against {self.against}",
            value,
            bound,
            not (worse and certain),
            f"{self.measure} of the {self.model} model is {value:.4f}, expected at "
            f"{'most' if lower else 'least'} {bound:.4f} ({self.against} {other:.4f}{margin}); "
            f"the difference lies between {low:+.4f} and {high:+.4f}",
            "lower" if lower else "higher",
        )


def requirements(settings: Settings) -> list[Requirement]:
    """The ranking model against popularity, the rating model against damped means.

    Both also against what is published, and so the similar items. Popularity is no bound of these:
    what most people like next is popular, yet the same list beside every item says nothing of it.
    """
    ndcg = f"ndcg@{settings.ndcg_at}"
    similar = f"{SIMILAR_HIT_RATE}@{settings.recall_at}"
    return [
        Requirement(RANKING, ndcg, "popularity"),
        Requirement(RATING, "rmse", "damped_means"),
        Requirement(RANKING, ndcg, PUBLISHED, settings.ranking_margin, "ranking_margin"),
        Requirement(RANKING, similar, PUBLISHED, settings.ranking_margin, "ranking_margin"),
        Requirement(RATING, "rmse", PUBLISHED, settings.rating_margin, "rating_margin"),
    ]


def quality(comparisons: Sequence[Comparison], settings: Settings) -> list[Check]:
    """Whether our models are good enough, as far as enough users could be measured."""
    return [
        requirement.check(comparison)
        for requirement in requirements(settings)
        for comparison in comparisons
        if requirement.concerns(comparison) and has_interval(comparison)
    ]


def not_judged(comparisons: Sequence[Comparison], settings: Settings) -> list[str]:
    """What the gate would have judged, but for which there were too few users: sentences."""
    return [
        too_few_users(comparison)
        for requirement in requirements(settings)
        for comparison in comparisons
        if requirement.concerns(comparison) and not has_interval(comparison)
    ]


def has_interval(comparison: Comparison) -> bool:
    """Whether enough users were measured to tell how sure a difference is."""
    return comparison.interval[0] is not None


def too_few_users(comparison: Comparison) -> str:
    """Why a comparison says nothing."""
    n, effective = comparison.n_users, comparison.effective_users
    were = "was" if n == 1 else "were"
    weigh = f" and count as {effective:.1f}, as some have most of the ratings"
    return (
        f"too few users to judge {comparison.measure} of the {comparison.model} model against "
        f"{comparison.against}: {n:,} {were} measured{weigh if n >= FEWEST_USERS else ''}, "
        f"expected at least {FEWEST_USERS}"
    )


def at_least(name: str, value: float | None, bound: float, setting: str) -> list[Check]:
    """One measure that must not be below a setting; no check where there is no value."""
    if value is None:
        return []
    message = f"{name} is {value:.4g}, expected at least {bound:g} (setting {setting})"
    return [Check(name, value, bound, value >= bound, message)]


def liked(share: float, liked_from: float, scale: Scale | None, bound: float) -> Check:
    """Whether enough of the ratings count as liked: lists for people who like nothing are noise.

    Without a scale they are events.
    """
    what, advice = "events", "lower liked_from"
    if scale is not None:
        what, advice = (
            "ratings",
            (
                f"if the ratings are not {scale.low:g} to {scale.high:g}, give rating_low and "
                "rating_high to one run, else set liked_from"
            ),
        )
    message = (
        f"{share:.3%} of the {what} count as liked, those from {liked_from:g} on, "
        f"expected at least {bound:.3%} (setting min_liked); {advice}"
    )
    return Check(f"share of {what} that count as liked", share, bound, share >= bound, message)


def verdict(checks: Sequence[Check], force: bool, not_judged: Sequence[str] = ()) -> dict[str, Any]:
    """The gate's result as it goes into the manifest."""
    refusals = [check.message for check in checks if not check.passed]
    return {
        "passed": not refusals,
        "forced": bool(refusals) and force,
        "refusals": refusals,
        "not_judged": list(not_judged),
        "checks": [
            {
                "name": check.name,
                "value": check.value,
                "bound": check.bound,
                "better": check.better,
                "passed": check.passed,
            }
            for check in checks
        ],
    }
