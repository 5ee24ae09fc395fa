"""How good the model is, beside baselines and over the last nights, and what the gate says."""

from collections.abc import Mapping
from typing import Any

from cofi_jobs.report import plots
from cofi_jobs.report.drawing import Plot
from cofi_jobs.report.night import NAMES, NIGHTS, Night, measure_label, night_label
from cofi_jobs.report.plots import Dot
from cofi_jobs.report.section import Section, Table
from cofi_jobs.store.status import evaluation_of, measure_names


def quality_section(night: Night) -> Section:
    """Metrics against baselines and over the last nights, and the gate."""
    assert night.evaluation is not None
    metrics, comparisons = night.evaluation["metrics"], night.evaluation["comparisons"]
    of, names = metrics["intervals"], measure_names(metrics)
    section = Section("quality", "How good it is on ratings that it had not seen")
    section.notes.append(
        f"{metrics['held_out_ratings']:,} ratings were held out. Bars around a value are 95 % bootstrap intervals over "
        "users. Beside it stand baselines, and the model that was published before, on the users whom both know."
    )
    for head, measure, title, unit in (
        ("rating", "rmse", "Held-out RMSE by model: lower is better", "RMSE (units of the rating)"),
        (
            "ranking",
            names["ndcg"],
            f"Held-out {names['ndcg'].upper()} by model: higher is better",
            f"{names['ndcg'].upper()} (0 to 1, mean over users)",
        ),
        (
            "ranking",
            names["recall"],
            f"Held-out {names['recall']} by model: higher is better",
            f"{names['recall']} (share of liked ratings found)",
        ),
    ):
        rows = [(NAMES[head], metrics[head][measure], *of[head][measure])]
        others = [c for c in comparisons if (c["head"], c["measure"]) == (head, measure)]
        rows += [
            (NAMES[c["against"]], c["other"], None, None)
            for c in others
            if c["against"] != "published"
        ]
        for c in others:
            if c["against"] == "published":  # measured on the users whom both know
                on = f"on {metrics['published']['users']:,} users"
                rows += [
                    (f"published before, {on}", c["other"], None, None),
                    (f"CoFi, {on}", c["own"], None, None),
                ]
        found = [Dot(*row) for row in rows if row[1] is not None]
        if found:
            section.plots.append(plots.dots(title, found, unit, "model"))
    better = [dot for c in comparisons if (dot := _improvement(c, names))]
    if better:
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
    section.plots += _history(night)
    gate = night.evaluation["gate"]
    if gate["checks"]:
        section.tables.append(
            Table(
                "The gate's checks",
                ("", "measure", "value", "bound"),
                [
                    (
                        "passed" if c["passed"] else "REFUSED",
                        c["name"],
                        f"{c['value']:.4g}",
                        f"{c['bound']:.4g}",
                    )
                    for c in gate["checks"]
                ],
            )
        )
    return section


def _improvement(c: Mapping[str, Any], names: Mapping[str, str]) -> Dot | None:
    """A comparison's difference and interval in percent of the baseline, turned so that positive is better."""
    shown = {("rating", "rmse", "damped_means"), ("rating", "rmse", "published")} | {
        ("ranking", names[measure], against)
        for measure, baselines in (
            ("ndcg", ("popularity", "item_knn", "published")),
            ("recall", ("popularity", "item_knn")),
        )
        for against in baselines
    }
    key = (c["head"], c["measure"], c["against"])
    if key not in shown or c["low"] is None or not c["other"]:
        return None
    turn = (-1 if c["better"] == "lower" else 1) * 100 / c["other"]
    low, high = sorted((c["low"] * turn, c["high"] * turn))
    label = f"{measure_label(c['measure'])} against {NAMES[c['against']]}"
    return Dot(label, c["difference"] * turn, low, high)


def _history(night: Night) -> list[Plot]:
    """RMSE and NDCG of the last nights, beside the baselines that the gate looks at."""
    keys = [key for key in night.store.run_keys() if key <= night.key]
    found = {key: evaluation for key in keys if (evaluation := evaluation_of(night.store, key))}
    found = dict(list(found.items())[-NIGHTS:])
    labels = [night_label(key) + (" ✗" if _refused(e) else "") for key, e in found.items()]
    note = "✗: the gate refused that night." if any(_refused(e) for e in found.values()) else ""
    result = []
    for head, baseline, short_name, unit in (
        ("rating", "damped_means", "rmse", "units of the rating"),
        ("ranking", "popularity", "ndcg", "0 to 1"),
    ):
        measures = [measure_names(e["metrics"]).get(short_name, short_name) for e in found.values()]
        pairs = list(zip(found.values(), measures, strict=True))
        name = measures[-1].upper()
        result.append(
            plots.nights(
                f"Held-out {name} of the last nights",
                labels,
                {
                    NAMES[head]: [e["metrics"][head][m] for e, m in pairs],
                    NAMES[baseline]: [e["metrics"][baseline][m] for e, m in pairs],
                },
                f"{name} ({unit})",
                note,
                {NAMES[head]: [e["metrics"]["intervals"][head][m] for e, m in pairs]},
            )
        )
    return result


def _refused(evaluation: Mapping[str, Any]) -> bool:
    return not evaluation["gate"]["passed"] and not evaluation["gate"]["forced"]
