"""How much of the catalogue is recommended, and how popular that is."""

import numpy as np

from cofi_jobs.report import plots
from cofi_jobs.report.night import NAMES, Night, parquet_below
from cofi_jobs.report.plots import Dot
from cofi_jobs.report.section import Section
from cofi_jobs.store import sql
from cofi_jobs.store.status import measure_names
from cofi_jobs.tasks.evaluate import RANKINGS


def coverage_section(night: Night) -> Section:
    """How much of the catalogue is recommended, and how popular that is."""
    section = Section("coverage", "What is recommended: coverage and popularity")
    lists = parquet_below(night.store.table(night.key, "recommendations"))
    items = sql.file(night.file("normalized", "items.parquet"))
    with sql.connect(night.settings, night.store.table(night.key, "")) as connection:
        found = connection.execute(
            f"SELECT n_ratings, coalesce(n, 0) AS shown FROM {items} LEFT JOIN "
            f"(SELECT item_id, count(*) AS n FROM read_parquet({lists}) GROUP BY item_id) USING (item_id) "
            "ORDER BY item_index"
        ).fetchnumpy()
    n_ratings, shown = (np.asarray(found[name], float) for name in ("n_ratings", "shown"))
    n_users = night.outcomes["normalize"]["n_users"]
    section.notes.append(
        f"{int((shown > 0).sum()):,} of {len(shown):,} items ({(shown > 0).mean():.1%}) are in someone's list."
    )
    order = np.argsort(-n_ratings, kind="stable")
    place = np.unique(np.linspace(0, len(order), min(len(order), 200) + 1).astype(int))
    curves = {
        name: (
            place / len(order),
            np.concatenate([[0], np.cumsum(values[order])])[place] / max(values.sum(), 1),
        )
        for name, values in (("places in lists", shown), ("ratings", n_ratings))
    }
    section.plots.append(
        plots.lines(
            "How far down the catalogue the lists reach, against where ratings are",
            curves,
            "share of the items, the most rated first",
            "share of all places or ratings",
            "The nearer to the diagonal, the less the lists repeat what is popular.",
            percent=True,
        )
    )
    most = [row for row in np.argsort(-shown, kind="stable")[:10] if shown[row]]
    section.plots.append(
        plots.bars(
            "The items in most users' lists",
            [night.titles[row] for row in most],
            [100 * shown[row] / n_users for row in most],
            "share of users (%)",
            "item",
            form="{:.1f}",
        )
    )
    if night.evaluation:
        metrics = night.evaluation["metrics"]
        coverage = measure_names(metrics)["coverage"]
        models = [model for model in RANKINGS if metrics[model].get(coverage) is not None]
        if models:
            section.plots.append(
                plots.bars(
                    f"{coverage.capitalize()} by model: share of the items in someone's trial list",
                    [NAMES[model] for model in models],
                    [100 * metrics[model][coverage] for model in models],
                    "share of the items (%)",
                    "model",
                    form="{:.1f}",
                )
            )
        groups = metrics["by_popularity"]
        labels = [
            f"{g['items']}:\n{g['n_items']:,} items\nof {g['from']:,} to {g['to']:,}"
            for g in groups
        ]
        series = {
            NAMES[model]: [
                None if g[model]["recall"] is None else Dot("", 100 * g[model]["recall"])
                for g in groups
            ]
            for model in RANKINGS
        }
        if groups:
            section.plots.append(
                plots.groups(
                    "Liked held-out ratings that the lists found, by how much items are rated",
                    labels,
                    series,
                    "found (%)",
                    "items by number of known ratings",
                    "Each group of items has a third of the known ratings.",
                    form="{:.0f}",
                )
            )
    return section
