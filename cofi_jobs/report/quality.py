"""How good the model is, beside baselines, and what the gate checked."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cofi_jobs.evaluation.baselines import RANKINGS
from cofi_jobs.evaluation.similar_items import SAME_GROUP, SIMILAR_HIT_RATE
from cofi_jobs.evaluation.split_order import split_sentences
from cofi_jobs.report import plots
from cofi_jobs.report.drawing import Plot
from cofi_jobs.report.gate import gate_part
from cofi_jobs.report.plots import Dot
from cofi_jobs.report.reported_run import NAMES, ReportedRun, measure_label
from cofi_jobs.report.section import Section
from cofi_jobs.store.status import feedback_in, measure_names

WEAK = ("global_mean", "item_means")  # they would crush the differences that matter


class Measure(NamedTuple):
    """A measure of one of our two models; `name` as in the metrics, such as "ndcg@10"."""

    model: str
    name: str
    title: str
    unit: str


def quality_section(run: ReportedRun) -> Section:
    """Metrics beside baselines."""
    assert run.evaluation is not None
    metrics = run.evaluation["metrics"]
    comparisons = pd.DataFrame(run.evaluation["comparisons"])
    section = Section("quality", f"How good it is on {run.feedback} that it had not seen")
    section.notes.append(
        f"Measured on {metrics['held_out_ratings']:,} test {run.feedback}. Bars around a value are "
        "95 % bootstrap intervals over users. Beside it stand baselines, and the model that was "
        "published before, on the users whom both know."
    )
    section.notes += split_sentences(metrics)
    for measure in _measures(metrics):
        if dots := _beside_baselines(measure, metrics, comparisons):
            section.plots.append(plots.dots(measure.title, dots, measure.unit, "model"))
    if not section.plots:
        section.notes.append("Too few users were measured to compare models: look at the lists.")
        return section
    section.plots += _same_group(metrics)
    if better := improvements(comparisons, measure_names(metrics)):
        section.plots.append(
            plots.dots(
                "Improvement over each baseline: right of 0 is better",
                better,
                "improvement (% of the baseline)",
                "measure and baseline",
                "Grey where the interval includes 0.",
                zero=True,
            )
        )
    return section


def gate_section(run: ReportedRun) -> Section:
    """What the gate checked."""
    assert run.evaluation is not None
    gate = run.evaluation["gate"]
    part = gate_part(gate, run.evaluation["comparisons"])
    return Section("gate", "What the gate checked", parts=[part])


def _measures(metrics: dict[str, Any]) -> list[Measure]:
    names = measure_names(metrics)
    ndcg, recall = names["ndcg"], names["recall"]
    measures = [
        Measure(
            "rating", "rmse", "Test RMSE by model: lower is better", "RMSE (units of the rating)"
        ),
        Measure(
            "ranking",
            ndcg,
            f"Test {ndcg.upper()} by model: higher is better",
            f"{ndcg.upper()} (0 to 1, mean over users)",
        ),
        Measure(
            "ranking",
            recall,
            f"Test {recall} by model: higher is better",
            f"{recall} (share of relevant {feedback_in(metrics)} found)",
        ),
    ]
    if similar := names.get(SIMILAR_HIT_RATE):  # not of runs of older versions
        title = "Similar items: how often they have what a user likes next: higher is better"
        unit = f"{similar} (share of pairs of items, mean over users)"
        measures.append(Measure("ranking", similar, title, unit))
    return [measure for measure in measures if measure.model in metrics]


def _same_group(metrics: dict[str, Any]) -> list[Plot]:
    """Whether similar items are alike in what the catalogue says of them."""
    if SAME_GROUP not in metrics:
        return []
    shares = metrics[SAME_GROUP]
    names = {**{model: NAMES[model] for model in RANKINGS}, "chance": "by chance"}
    dots = [Dot(name, shares[key]) for key, name in names.items() if shares[key] is not None]
    return [
        plots.dots(
            "Similar items with a group in common",
            dots,
            f"share of the first {shares['neighbours']} similar items",
            "model",
            "By chance: the share of all other items that have a group in common.",
        )
    ]


def _beside_baselines(
    measure: Measure, metrics: dict[str, Any], comparisons: pd.DataFrame
) -> list[Dot]:
    """Our value with its interval, each baseline, and the published model on the common users.

    Nothing where too few users were measured for an interval.
    """
    interval = metrics["intervals"][measure.model].get(measure.name) or (None, None)
    if interval[0] is None:
        return []
    values = [(NAMES[measure.model], metrics[measure.model][measure.name], *interval)]
    published = []
    if not comparisons.empty:
        same = (comparisons["head"] == measure.model) & (comparisons["measure"] == measure.name)
        for c in comparisons[same].itertuples():
            if c.against in WEAK:
                continue
            if c.against != "published":
                values.append((NAMES[str(c.against)], c.other, None, None))
                continue
            users = f"on {metrics['published']['users']:,} users"
            published = [
                (f"published before, {users}", c.other, None, None),
                (f"CoFi, {users}", c.own, None, None),
            ]
    return [Dot(*row) for row in [*values, *published] if not pd.isna(row[1])]


def improvements(comparisons: pd.DataFrame, names: dict[str, str]) -> list[Dot]:
    """Differences from the main baselines in percent of these; positive where we are better."""
    if comparisons.empty:
        return []
    shown = [
        *(("rating", "rmse", against) for against in ("damped_means", "published")),
        *(("ranking", names["ndcg"], name) for name in ("popularity", "item_knn", "published")),
        *(("ranking", names["recall"], name) for name in ("popularity", "item_knn")),
    ]
    keys = pd.MultiIndex.from_frame(comparisons[["head", "measure", "against"]])
    has_interval = comparisons["low"].notna() & (comparisons["other"].fillna(0) != 0)
    main = comparisons[keys.isin(shown) & has_interval]
    sign = np.where(main["better"] == "lower", -1, 1)
    percent = main[["difference", "low", "high"]].astype(float)
    percent = percent.mul(100 * sign / main["other"].astype(float), axis=0)
    labels = main["measure"].map(measure_label) + " against " + main["against"].map(NAMES)
    return [
        Dot(label, difference, min(ends), max(ends))
        for label, (difference, *ends) in zip(labels, percent.to_numpy().tolist(), strict=True)
    ]
