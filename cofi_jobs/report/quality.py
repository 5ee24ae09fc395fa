"""How good the model is, beside baselines and over the last runs, and what the gate says."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cofi_jobs.evaluation.baselines import RANKINGS
from cofi_jobs.evaluation.similar_items import SAME_GROUP, SIMILAR_HIT_RATE
from cofi_jobs.evaluation.split_order import split_sentences
from cofi_jobs.report import plots
from cofi_jobs.report.drawing import Plot
from cofi_jobs.report.plots import Dot
from cofi_jobs.report.reported_run import MOST_RUNS, NAMES, ReportedRun, measure_label, run_label
from cofi_jobs.report.section import Section, Table
from cofi_jobs.store.status import evaluation_of, feedback_in, measure_names


class Measure(NamedTuple):
    """A measure of one of our two models; `name` as in the metrics, such as "ndcg@10"."""

    model: str
    name: str
    title: str
    unit: str


def quality_section(run: ReportedRun) -> Section:
    """Metrics beside baselines and over the last runs, and the gate."""
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
    section.plots += _history(run)
    if checks := run.evaluation["gate"]["checks"]:
        section.tables.append(_checks(checks))
    return section


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
    """Our value with its interval, each baseline, and the published model on the common users."""
    interval = metrics["intervals"][measure.model][measure.name]
    values = [(NAMES[measure.model], metrics[measure.model][measure.name], *interval)]
    published = []
    if not comparisons.empty:
        same = (comparisons["head"] == measure.model) & (comparisons["measure"] == measure.name)
        for c in comparisons[same].itertuples():
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


def _history(run: ReportedRun) -> list[Plot]:
    """RMSE and NDCG of the last runs, beside the baselines that the gate looks at."""
    keys = [key for key in run.store.run_keys() if key <= run.key]
    evaluations = {key: record for key in keys if (record := evaluation_of(run.store, key))}
    evaluations = dict(list(evaluations.items())[-MOST_RUNS:])
    labels = [run_label(key) + (" ✗" if _refused(e) else "") for key, e in evaluations.items()]
    note = "✗: the gate refused that run." if any(map(_refused, evaluations.values())) else ""
    metrics = [evaluation["metrics"] for evaluation in evaluations.values()]
    return [
        _course(model, baseline, measure, unit, metrics, labels, note)
        for model, baseline, measure, unit in (
            ("rating", "damped_means", "rmse", "units of the rating"),
            ("ranking", "popularity", "ndcg", "0 to 1"),
        )
        if all(model in of_run for of_run in metrics)
    ]


def _course(
    model: str,
    baseline: str,
    measure: str,
    unit: str,
    metrics: list[dict[str, Any]],
    labels: list[str],
    note: str,
) -> Plot:
    """A measure of a model and of a baseline run by run; runs may have measured at other depths."""
    names = [measure_names(of_run).get(measure, measure) for of_run in metrics]
    title = names[-1].upper()
    runs = list(zip(metrics, names, strict=True))
    return plots.runs(
        f"Test {title} of the last runs",
        labels,
        {NAMES[name]: [m[name][measured] for m, measured in runs] for name in (model, baseline)},
        f"{title} ({unit})",
        note,
        {NAMES[model]: [m["intervals"][model][measured] for m, measured in runs]},
    )


def _checks(checks: list[dict[str, Any]]) -> Table:
    frame = pd.DataFrame(checks)
    return Table(
        "The gate's checks",
        pd.DataFrame(
            {
                "": frame["passed"].map({True: "passed", False: "REFUSED"}),
                "measure": frame["name"],
                "value": frame["value"].map("{:.4g}".format),
                "bound": frame["bound"].map("{:.4g}".format),
            }
        ),
    )


def _refused(evaluation: dict[str, Any]) -> bool:
    return not evaluation["gate"]["passed"] and not evaluation["gate"]["forced"]
