"""The last runs beside each other."""

from collections.abc import Sequence

import pandas as pd

from cofi_jobs.report import plots
from cofi_jobs.report.drawing import Plot, short
from cofi_jobs.report.nights import FEWEST_NIGHTS, Night
from cofi_jobs.report.reported_run import NAMES, ReportedRun, run_label
from cofi_jobs.report.section import Section, Table
from cofi_jobs.report.words import in_words
from cofi_jobs.store.status import measure_names

LONGEST_REASON = 160


def recent_section(run: ReportedRun) -> Section:
    """What the last runs took in, how good they were, and why some have no lists."""
    section = Section("nights", "The last runs")
    section.plots += history(run.nights)
    section.tables.append(_table(run))
    return section


def history(nights: Sequence[Night]) -> list[Plot]:
    """Measures of the last runs beside the baselines that the gate looks at; none of few runs."""
    measured = [night for night in nights if night.evaluation]
    if len(measured) < FEWEST_NIGHTS:
        return []
    labels = [run_label(night.key) + (" ✗" if night.is_refused else "") for night in measured]
    note = "✗: the gate refused that run." if any(night.is_refused for night in measured) else ""
    return [
        _course(model, baseline, measure, unit, measured, labels, note)
        for model, baseline, measure, unit in (
            ("ranking", "popularity", "ndcg", "0 to 1"),
            ("rating", "damped_means", "rmse", "units of the rating"),
        )
        if all(night.measure(model, measure) is not None for night in measured)
    ]


def _course(
    model: str,
    baseline: str,
    measure: str,
    unit: str,
    measured: Sequence[Night],
    labels: Sequence[str],
    note: str,
) -> Plot:
    """A measure of a model and of a baseline run by run; runs may have measured at other depths."""
    metrics = [night.evaluation["metrics"] for night in measured if night.evaluation]
    names = [measure_names(of_run).get(measure, measure) for of_run in metrics]
    title = names[-1].upper()
    intervals = [m["intervals"][model][name] for m, name in zip(metrics, names, strict=True)]
    return plots.runs(
        f"Test {title} of the last runs",
        labels,
        {
            NAMES[name]: [night.measure(name, measure) for night in measured]
            for name in (model, baseline)
        },
        f"{title} ({unit})",
        f"Broad bars: 95 % intervals. {note}".strip(),
        {NAMES[model]: intervals},
    )


def _table(run: ReportedRun) -> Table:
    """A line a run, the newest first."""
    rows = [
        {
            "run (UTC)": run_label(night.key).replace("\n", ", "),
            f"new {run.feedback}": _integer(night.recorded("ingest", "rows_taken")),
            "rejected": _integer(night.recorded("ingest", "rows_refused")),
            "NDCG": _measure(night, "ranking", "ndcg"),
            "RMSE": _measure(night, "rating", "rmse"),
            "time": in_words(night.seconds),
            "state": state(night, is_this=number == 0),
        }
        for number, night in enumerate(run.nights[::-1])
    ]
    frame = pd.DataFrame(rows)
    if run.feedback == "events":
        frame = frame.drop(columns="RMSE")
    numbers = [name for name in frame.columns if name not in ("run (UTC)", "state")]
    return Table("Run by run", frame, numbers=numbers)


def state(night: Night, is_this: bool) -> str:
    """How a run ended, and why it has no lists."""
    if night.is_refused:
        return "refused: " + short(
            "; ".join((night.evaluation or {})["gate"]["refusals"]), LONGEST_REASON
        )
    if night.reason and not night.is_published:
        return "failed: " + short(night.reason, LONGEST_REASON)
    if is_this:
        return "this run"
    return "published" if night.is_published else "not published"


def _integer(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _measure(night: Night, model: str, name: str) -> str:
    value = night.measure(model, name)
    return "" if value is None else f"{value:.4f}"
