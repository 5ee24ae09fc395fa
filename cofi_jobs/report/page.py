"""The report's page, from its sections."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cofi_jobs.report.drawing import unique
from cofi_jobs.report.reported_run import NAMES, ReportedRun, measure_label
from cofi_jobs.report.section import Section
from cofi_jobs.report.template import fill
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.status import measure_names


@dataclass(frozen=True)
class Verdict:
    """How a run went: a word for the colour, a sentence, and reasons."""

    colour: str
    text: str
    reasons: Sequence[str] = ()


@dataclass(frozen=True)
class Tile:
    """A number to look at first, and what to compare it with."""

    name: str
    value: str
    beside: str


def verdict(run: ReportedRun) -> Verdict:
    """How the run went."""
    if run.evaluation is None:
        task, reason = next(iter(run.failures.items()), ("", ""))
        where = f"Failed in {task}" if task else "Not finished"
        reasons = [reason] if reason else []
        return Verdict("refused", f"{where}: readers stay on the lists they have", reasons)
    gate = run.evaluation["gate"]
    if gate["passed"]:
        n_checks = len(gate["checks"])
        text = f"The gate lets this run pass, after {n_checks} checks"
        return Verdict("passed", text, gate.get("not_judged", []))
    if gate["forced"]:
        text = "The gate refused this run; force_publish overrides it"
        return Verdict("forced", text, gate["refusals"])
    text = "The gate refused this run: readers stay on the lists they have"
    return Verdict("refused", text, gate["refusals"])


def tiles(run: ReportedRun) -> list[Tile]:
    """The few numbers to look at first."""
    ingested, normalized = run.outcomes["ingest"], run.outcomes["normalize"]
    result = [
        Tile(
            f"new {run.feedback}",
            f"{ingested['rows_taken']:,}",
            f"{ingested['rows_refused']:,} rejected",
        ),
        Tile(
            run.observations,
            f"{normalized['n_ratings']:,}",
            f"{normalized['n_users']:,} users, {normalized['n_items']:,} items",
        ),
    ]
    if not run.evaluation:
        return result
    metrics = run.evaluation["metrics"]
    names = measure_names(metrics)
    for model, measure, baseline in (
        ("rating", "rmse", "damped_means"),
        ("ranking", names["ndcg"], "popularity"),
        ("ranking", names["recall"], "popularity"),
    ):
        if model not in metrics:
            continue
        value, other = metrics[model][measure], metrics[baseline][measure]
        if value is not None:
            beside = "" if other is None else f"{NAMES[baseline]} {other:.4f}"
            result.append(Tile(measure_label(measure), f"{value:.4f}", beside))
    return result


def render(run: ReportedRun, sections: Sequence[Section]) -> str:
    """The page. Its texts are escaped here, those in drawings where they are drawn."""
    drawings: dict[str, Markup] = {}
    for section in sections:
        for number, plot in enumerate(section.plots):
            prefix = f"{section.name}-{number}-"
            drawings[prefix] = Markup(unique(plot.svg, prefix))
    return fill(
        "report.html",
        run_key=run.key,
        time=run_time(run.key),
        verdict=verdict(run),
        tiles=tiles(run),
        sections=sections,
        drawings=drawings,
    )
