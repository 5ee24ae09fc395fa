"""The numbers to look at first: tonight's, how they differ from before, and their trend."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cofi_jobs.evaluation.metrics import lower_is_better
from cofi_jobs.report.nights import day_of, trend
from cofi_jobs.report.reported_run import NAMES, ReportedRun, measure_label
from cofi_jobs.report.verdict import comparison
from cofi_jobs.report.words import of_100, signed, with_minus
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.status import measure_names


@dataclass(frozen=True)
class Tile:
    """A number to look at first. `tone` says whether the difference is good, bad or neither."""

    name: str
    value: str
    difference: str = ""
    tone: str = ""
    beside: str = ""  # what else to compare it with
    trend: Sequence[tuple[float, float]] = ()  # the last runs: places in percent


def tiles(run: ReportedRun) -> list[Tile]:
    """The few numbers to look at first, those of quality before those of size."""
    return [*_of_quality(run), *_of_size(run)]


def _of_quality(run: ReportedRun) -> list[Tile]:
    if not run.evaluation:
        return []
    names = measure_names(run.evaluation["metrics"])
    verb = "like" if run.feedback == "ratings" else "choose"
    found = _measured(run, "ranking", "hit_rate", f"users found something they {verb}", of_100)
    shown = [
        found,
        _measured(run, "ranking", "ndcg", measure_label(names["ndcg"]), "{:.4f}".format),
        _measured(run, "rating", "rmse", "RMSE", "{:.4f}".format, baseline="damped_means"),
    ]
    if run.changes and run.changes.new_places is not None:
        coverage = run.nights[-1].measure("ranking", "coverage")
        beside = "" if coverage is None else f"{coverage:.0%} of the items are in a list"
        shown.append(
            Tile("places in lists that changed", f"{run.changes.new_places:.0%}", beside=beside)
        )
    return [tile for tile in shown if tile]


def _measured(
    run: ReportedRun,
    model: str,
    measure: str,
    name: str,
    shown: Callable[[float], str],
    baseline: str = "popularity",
) -> Tile | None:
    """The tile of a measure; the difference is that on the users whom both runs know."""
    value = run.nights[-1].measure(model, measure)
    if value is None or run.evaluation is None:
        return None
    if run.nights[-1].interval(model, measure) is None:  # of too few users: it says nothing
        return None
    other = run.nights[-1].measure(baseline, measure)
    full_name = measure_names(run.evaluation["metrics"]).get(measure, measure)
    compared = comparison(run.evaluation["comparisons"], model, full_name, "published")
    difference, tone = _difference(compared, run, per_100=measure == "hit_rate")
    return Tile(
        name,
        shown(value),
        difference,
        tone,
        "" if other is None else f"{NAMES[baseline]} {shown(other)}",
        trend([night.measure(model, measure) for night in run.nights]),
    )


def _difference(compared: Any, run: ReportedRun, per_100: bool) -> tuple[str, str]:
    """The difference from the published model, and whether it is surely good or bad."""
    if not compared or compared["difference"] is None or not run.earlier:
        return "", ""
    difference = compared["difference"]
    text = signed(100 * difference, 1) if per_100 else signed(difference)
    tone = ""
    if compared["low"] is not None and not compared["low"] <= 0 <= compared["high"]:
        tone = "good" if (difference < 0) == lower_is_better(compared["measure"]) else "bad"
    return f"{text} since {day_of(run.earlier, run_time(run.key))}", tone


def _of_size(run: ReportedRun) -> list[Tile]:
    ingested, normalized = run.outcomes["ingest"], run.outcomes["normalize"]
    return [
        Tile(
            f"new {run.feedback}",
            f"{ingested['rows_taken']:,}",
            beside=f"{ingested['rows_refused']:,} rejected",
            trend=trend([night.recorded("ingest", "rows_taken") for night in run.nights]),
        ),
        Tile(
            run.observations,
            f"{normalized['n_ratings']:,}",
            _growth(run, "n_ratings"),
            beside=f"{normalized['n_users']:,} users, {normalized['n_items']:,} items",
            trend=trend([night.recorded("normalize", "n_ratings") for night in run.nights]),
        ),
    ]


def _growth(run: ReportedRun, name: str) -> str:
    before = run.earlier_night
    count = before and before.recorded("normalize", name)
    if before is None or count is None:
        return ""
    difference = with_minus(f"{run.outcomes['normalize'][name] - count:+,}")
    return f"{difference} since {day_of(before.key, run_time(run.key))}"
