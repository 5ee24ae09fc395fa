"""The gate's checks, each on a bar: how far from its bound, on the good side or on the bad one."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from cofi_jobs.evaluation.metrics import lower_is_better
from cofi_jobs.report.reported_run import measure_label
from cofi_jobs.report.template import fill

HALF_AT = 0.1  # the distance from the bound, as a share of it, that fills half of a side
CLEAR = 90.0  # percent: a check that far from its bound is none to look at first
NAMES = {"damped_means": "damped means", "published": "the published run"}
FEWEST_DIGITS, MOST_DIGITS = 4, 8


@dataclass(frozen=True)
class Gauge:
    """A check on a bar. Places are in percent; the bound lies at 50, better is right of it."""

    name: str
    value: str
    sign: str
    bound: str
    passed: bool
    remark: str
    at: float
    low: float | None = None  # of the interval
    high: float | None = None


def gate_part(gate: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]]) -> Markup:
    """The checks as HTML: those that refuse the run first, then the closest to their bounds."""
    gauges = [gauge(check, comparisons) for check in gate["checks"]]
    ordered = sorted(gauges, key=lambda gauge: (gauge.passed, gauge.at))
    near = [gauge for gauge in ordered if not gauge.passed or gauge.at < CLEAR]
    return Markup(fill("gate.html", near=near, clear=ordered[len(near) :]))


def gauge(check: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]]) -> Gauge:
    """One check. Its interval is that of the difference from the model that is the bound."""
    value, bound, lower = check["value"], check["bound"], at_most(check)
    ends: list[float] = []
    if (compared := _compared(check["name"], comparisons)) and compared["low"] is not None:
        shares = (
            share_beyond(compared["other"] + compared[end], bound, lower) for end in ("low", "high")
        )
        ends = sorted(place(share) for share in shares)
    spare = share_beyond(value, bound, lower)
    value_text, bound_text = same_digits(value, bound)
    return Gauge(
        _in_words(check["name"]),
        value_text,
        "≤" if lower else "≥",
        bound_text,
        check["passed"],
        _remark(spare, check["passed"]),
        place(spare),
        *ends,
    )


def at_most(check: Mapping[str, Any]) -> bool:
    """Whether the bound is the most; records of older versions say it by name and result alone."""
    if "better" in check:
        return bool(check["better"] == "lower")
    if check["name"] == "new ratings":
        return bool(check["passed"] == (check["value"] < check["bound"]))
    return lower_is_better(check["name"].split(" ")[0])


def share_beyond(value: float, bound: float, lower: bool) -> float:
    """How far a value is on the good side of its bound, as a share of the bound; < 0: the bad."""
    distance = bound - value if lower else value - bound
    return (
        distance / abs(bound) if bound else math.copysign(math.inf, distance) if distance else 0.0
    )


def place(share: float) -> float:
    """Where a distance lies, in percent: 0.1 % can be seen beside 1000 %."""
    if math.isinf(share):
        return 100.0 if share > 0 else 0.0
    return round(50 + 50 * share / (abs(share) + HALF_AT), 2)


def same_digits(value: float, bound: float) -> tuple[str, str]:
    """Both with the same number of decimals, so many that they differ if the numbers do."""
    if float(value).is_integer() and float(bound).is_integer():
        return f"{value:,.0f}", f"{bound:,.0f}"
    largest = max(abs(value), abs(bound))
    fewest = FEWEST_DIGITS if largest < 10 else 2
    texts = ("", "")
    for digits in range(fewest, MOST_DIGITS + 1):
        texts = f"{value:,.{digits}f}", f"{bound:,.{digits}f}"
        if texts[0] != texts[1] or value == bound:
            break
    return texts


def _remark(spare: float, passed: bool) -> str:
    if math.isinf(spare) or spare == 0:
        return "" if spare >= 0 else "below"
    if spare > 0:
        return f"{_percent(spare)} to spare"
    return f"{_percent(-spare)} short" + (", but not surely worse" if passed else "")


def _percent(share: float) -> str:
    if share >= 10:
        return f"{share:,.0f} times"
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def _compared(name: str, comparisons: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The comparison that a check of this name judges."""
    for compared in comparisons:
        if name == "{measure} of the {head} model against {against}".format(**compared):
            return compared
    return None


def _in_words(name: str) -> str:
    """The name of a check as people say it: "NDCG@10 of the lists, against popularity"."""
    measured = re.fullmatch(r"(\S+) of the (\w+) model against (\w+)", name)
    if measured is None:
        return name.replace("n_users", "users").replace("n_items", "items")
    measure, model, against = measured.groups()
    subject = "the lists" if model == "ranking" else "predicted ratings"
    if measure.startswith("similar_hit_rate"):
        measure, subject = measure.replace("similar_hit_rate", "hit rate"), "similar items"
    return f"{measure_label(measure)} of {subject}, against {NAMES.get(against, against)}"
