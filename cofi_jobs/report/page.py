"""The report's page, from its sections."""

from collections.abc import Sequence

from markupsafe import Markup

from cofi_jobs.report.drawing import unique
from cofi_jobs.report.night import NAMES, Night, measure_label
from cofi_jobs.report.section import Section
from cofi_jobs.report.template import fill
from cofi_jobs.store.run_keys import run_time
from cofi_jobs.store.status import measure_names


def verdict(night: Night) -> tuple[str, str, list[str]]:
    """How the night went: a word for the colour, a sentence, and reasons."""
    if night.evaluation is None:
        task, reason = next(iter(night.failures.items()), ("", ""))
        where = f"Failed in {task}" if task else "Not finished"
        return (
            "refused",
            f"{where}: readers stay on the lists they have",
            [reason] if reason else [],
        )
    gate = night.evaluation["gate"]
    if gate["passed"]:
        return "passed", f"The gate lets this run pass, after {len(gate['checks'])} checks", []
    if gate["forced"]:
        return "forced", "The gate refused this run; force_publish overrides it", gate["refusals"]
    return (
        "refused",
        "The gate refused this run: readers stay on the lists they have",
        gate["refusals"],
    )


def tiles(night: Night) -> list[tuple[str, str, str]]:
    """The few numbers to look at first: name, value, and what to compare it with."""
    took, now = night.outcomes["ingest"], night.outcomes["normalize"]
    found = [
        ("new ratings", f"{took['rows_taken']:,}", f"{took['rows_refused']:,} refused"),
        (
            "current ratings",
            f"{now['n_ratings']:,}",
            f"{now['n_users']:,} users, {now['n_items']:,} items",
        ),
    ]
    if night.evaluation:
        metrics = night.evaluation["metrics"]
        names = measure_names(metrics)
        for head, measure, baseline in (
            ("rating", "rmse", "damped_means"),
            ("ranking", names["ndcg"], "popularity"),
            ("ranking", names["recall"], "popularity"),
        ):
            if (value := metrics[head][measure]) is not None:
                other = metrics[baseline][measure]
                beside = "" if other is None else f"{NAMES[baseline]} {other:.4f}"
                found.append((measure_label(measure), f"{value:.4f}", beside))
    return found


def render(night: Night, sections: Sequence[Section]) -> str:
    """The page. Everything but the drawings is escaped; the drawings' texts are escaped where they are drawn."""
    drawings: dict[str, Markup] = {}
    for section in sections:
        for number, plot in enumerate(section.plots):
            prefix = f"{section.name}-{number}-"
            drawings[prefix] = Markup(unique(plot.svg, prefix))
    return fill(
        "report.html",
        run_key=night.key,
        time=run_time(night.key),
        verdict=verdict(night),
        tiles=tiles(night),
        sections=sections,
        drawings=drawings,
    )
