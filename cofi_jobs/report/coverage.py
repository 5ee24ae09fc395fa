"""How much of the catalogue is recommended, and how popular that is."""

from typing import Any

import numpy as np
import pandas as pd

from cofi_jobs.core.feedback import Feedback
from cofi_jobs.evaluation.baselines import RANKINGS
from cofi_jobs.report import plots
from cofi_jobs.report.drawing import Plot
from cofi_jobs.report.lists import counts, tables_of
from cofi_jobs.report.plots import Dot
from cofi_jobs.report.reported_run import FEW_USERS, NAMES, ReportedRun
from cofi_jobs.report.section import Section
from cofi_jobs.store import sql
from cofi_jobs.store.status import measure_names

MOST_POINTS = 200  # of a curve over the catalogue


def coverage_section(run: ReportedRun) -> Section:
    """How much of the catalogue is recommended, and how popular that is."""
    items = _listed_items(run)
    n_listed = int((items["lists"] > 0).sum())
    section = Section("coverage", "What is recommended: coverage and popularity")
    section.notes.append(
        f"{n_listed:,} of {len(items):,} items ({n_listed / len(items):.1%}) are in someone's list."
    )
    if run.has_few_users:
        section.notes.append(FEW_USERS)
        return section
    section.plots.append(_reach(items, run.feedback))
    section.plots.append(_most_listed(items, run.outcomes["normalize"]["n_users"]))
    if run.evaluation:
        metrics = run.evaluation["metrics"]
        section.plots += _coverage_by_model(metrics)
        section.plots += _recall_by_popularity(metrics["by_popularity"], run.feedback)
    return section


def _listed_items(run: ReportedRun) -> pd.DataFrame:
    """Each item's title, its number of ratings and in how many lists it is."""
    lists = tables_of(run.lists)
    with sql.connect(run.settings, run.store.table(run.key, "")) as connection:
        listed = counts(connection, lists, "item_id")
    items = run.tables.items()
    n_lists = items["item_id"].map(listed).fillna(0)
    return items[["n_ratings"]].assign(lists=n_lists.to_numpy(int), title=run.titles)


def _reach(items: pd.DataFrame, feedback: Feedback) -> Plot:
    """Cumulative shares of places in lists and of ratings, from the most popular item on."""
    ordered = items.sort_values("n_ratings", ascending=False, kind="stable")
    n = len(ordered)
    points = np.unique(np.linspace(0, n, min(n, MOST_POINTS) + 1).astype(int))

    def share(column: str) -> np.ndarray:
        values = ordered[column].to_numpy(float)
        return np.concatenate([[0], values.cumsum()])[points] / max(values.sum(), 1)

    return plots.lines(
        f"How far down the catalogue the lists reach, against where {feedback} are",
        {
            "places in lists": (points / n, share("lists")),
            feedback: (points / n, share("n_ratings")),
        },
        "share of the items, the most popular first",
        f"share of all places or {feedback}",
        "The nearer to the diagonal, the less the lists repeat what is popular.",
        percent=True,
    )


def _most_listed(items: pd.DataFrame, n_users: int) -> Plot:
    most = items[items["lists"] > 0].sort_values("lists", ascending=False, kind="stable").head(10)
    return plots.bars(
        "The items in most users' lists",
        most["title"].tolist(),
        (100 * most["lists"] / n_users).tolist(),
        "share of users (%)",
        "item",
        form="{:.1f}",
    )


def _coverage_by_model(metrics: dict[str, Any]) -> list[Plot]:
    coverage = measure_names(metrics)["coverage"]
    shares = {
        NAMES[model]: 100 * value
        for model in RANKINGS
        if (value := metrics[model].get(coverage)) is not None
    }
    if not shares:
        return []
    return [
        plots.bars(
            f"{coverage.capitalize()} by model: share of the items in a list of the holdout model",
            list(shares),
            list(shares.values()),
            "share of the items (%)",
            "model",
            form="{:.1f}",
        )
    ]


def _recall_by_popularity(groups: list[dict[str, Any]], feedback: Feedback) -> list[Plot]:
    if not groups:
        return []
    labels = [
        f"{g['items']}: {g['n_items']:,} items of {g['from']:,} to {g['to']:,} {feedback}"
        for g in groups
    ]
    recall = {
        NAMES[model]: [
            None if g[model]["recall"] is None else Dot("", 100 * g[model]["recall"])
            for g in groups
        ]
        for model in RANKINGS
    }
    return [
        plots.groups(
            f"Relevant test {feedback} that the lists found, by how popular items are",
            labels,
            recall,
            "found (%)",
            f"items by number of train {feedback}",
            f"Each group of items has a third of the train {feedback}.",
            form="{:.0f}",
        )
    ]
