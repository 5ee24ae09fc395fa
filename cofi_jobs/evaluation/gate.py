"""The gate before publishing: pure functions that judge what a night made; evaluate refuses the run if one fails.

A model is refused only where its held-out ratings are evidence that it is worse: where the whole confidence interval of
the difference lies on the wrong side. On few ratings the intervals are wide, and the gate lets pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from cofi_jobs.settings.fields import Settings

RECENT = 7  # batches that say what a usual night brings
ENOUGH = 5  # fewer say nothing
NIGHT_HOURS = 12  # a run that follows the last publication sooner is an extra one


@dataclass(frozen=True)
class Check:
    """One measure against its bound, and the sentence for the operator."""

    name: str
    value: float
    bound: float
    passed: bool
    message: str


def quality(comparisons: Sequence[Mapping[str, Any]], settings: Settings) -> list[Check]:
    """The ranking model against popularity, the rating model against damped means, both against what is published."""
    checks = []
    for head, measure, against, margin, setting in (
        ("ranking", f"ndcg@{settings.ndcg_at}", "popularity", 0.0, ""),
        ("rating", "rmse", "damped_means", 0.0, ""),
        (
            "ranking",
            f"ndcg@{settings.ndcg_at}",
            "published",
            settings.ranking_margin,
            "ranking_margin",
        ),
        ("rating", "rmse", "published", settings.rating_margin, "rating_margin"),
    ):
        for found in comparisons:
            if (found["head"], found["measure"], found["against"]) != (
                head,
                measure,
                against,
            ) or found["low"] is None:
                continue
            lower = found["better"] == "lower"
            bound = found["other"] * (1 + margin if lower else 1 - margin)
            worse = found["own"] > bound if lower else found["own"] < bound
            certain = found["low"] > 0 if lower else found["high"] < 0
            relation = f"at {'most' if lower else 'least'} {bound:.4f}"
            checks.append(
                Check(
                    f"{measure} of the {head} model against {against}",
                    found["own"],
                    bound,
                    not (worse and certain),
                    f"{measure} of the {head} model is {found['own']:.4f}, expected {relation} ({against} "
                    f"{found['other']:.4f}{f', {setting} {margin:g}' if setting else ''}); the difference lies between "
                    f"{found['low']:+.4f} and {found['high']:+.4f}",
                )
            )
    return checks


def at_least(name: str, value: float | None, bound: float, setting: str) -> list[Check]:
    """One measure that must not be below a setting; nothing to judge where there is no value."""
    if value is None:
        return []
    message = f"{name} is {value:.4g}, expected at least {bound:g} (setting {setting})"
    return [Check(name, value, bound, value >= bound, message)]


def volume(
    new: int, earlier: Sequence[int], hours: float | None, settings: Settings
) -> list[Check]:
    """New ratings since the last publication against the usual number of a night.

    `earlier` holds the sizes of the batches before, oldest first, `hours` the time since the last publication's run,
    if known. The first batch is not counted, as it may hold years, nor are nights that brought nothing; the usual
    number is the median of the 7 newest others, and fewer than 5 say nothing. No new rating at all is no collapse:
    nothing was delivered. Nor is it one if an extra run takes in what came since the night's.
    """
    usual = [size for size in earlier[1:] if size][-RECENT:]
    if not new or len(usual) < ENOUGH:
        return []
    share = new / median(usual)
    text = f"{new:,} new ratings are {share:.3g} times the {median(usual):,.0f} of a usual night"
    checks = [
        Check("new ratings", share, settings.max_input, share <= settings.max_input,
              f"{text}, expected at most {settings.max_input:g} (setting max_input)"),
    ]  # fmt: skip
    if hours is None or hours >= NIGHT_HOURS:
        message = f"{text}, expected at least {settings.min_input:g} (setting min_input)"
        checks.append(
            Check("new ratings", share, settings.min_input, share >= settings.min_input, message)
        )
    return checks


def verdict(checks: Sequence[Check], force: bool) -> dict[str, Any]:
    """The gate's result as it goes into the manifest."""
    refusals = [check.message for check in checks if not check.passed]
    return {
        "passed": not refusals,
        "forced": bool(refusals) and force,
        "refusals": refusals,
        "checks": [
            {"name": check.name, "value": check.value, "bound": check.bound, "passed": check.passed}
            for check in checks
        ],
    }
