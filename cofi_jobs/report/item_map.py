"""The items on a plane, by their factors."""

from collections.abc import Sequence

import numpy as np
import pyarrow.parquet as pq

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.report import plots
from cofi_jobs.report.reported_run import ReportedRun
from cofi_jobs.report.section import Section
from cofi_jobs.store.vectors import from_column

MAPPED_ITEMS, MAPPED_GROUPS, MAPPED_TITLES = 1500, 8, 12


def map_section(run: ReportedRun) -> Section:
    """The items on a plane, by their factors."""
    factors = pq.read_table(run.file("model", "item_factors.parquet"), columns=["ranking_factors"])
    items = run.tables.items().assign(title=run.titles)
    most = items.sort_values("n_ratings", ascending=False, kind="stable").head(MAPPED_ITEMS)
    X = from_column(factors["ranking_factors"])[most["item_index"].to_numpy(int)]
    points, shares = principal_components(to_unit_length(X))
    groups = most["groups"].fillna("").str.split("|").str[0].str.strip()
    names, colours = frequent(groups.tolist(), MAPPED_GROUPS)
    n_ratings = most["n_ratings"].to_numpy(float)
    by_group = ", coloured by genre (the catalogue's first group)" if groups.any() else ""
    section = Section("map", "A map of the items")
    section.plots.append(
        plots.scatter(
            f"The {len(most):,} most popular items as the ranking model sees them{by_group}",
            points,
            6 + 60 * np.sqrt(n_ratings / n_ratings.max()),
            colours,
            names,
            most["title"].tolist(),
            f"principal component 1 ({shares[0]:.0%} of the variance)",
            f"principal component 2 ({shares[1]:.0%} of the variance)",
            n_labels=MAPPED_TITLES,
            note="Near each other: liked by the same users. Larger: by more users. Axes: "
            "principal components of the items' factors at length 1, no unit. The outermost 1 % "
            "may lie outside.",
        )
    )
    return section


def principal_components(X: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Rows of X (n, n_factors) on the two directions of most variance (n, 2), and their shares."""
    centred = X.astype(np.float64) - X.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    variances, directions = np.maximum(variances[::-1], 0), directions.T[::-1]
    # A direction has no sign; with this one the map does not flip from run to run.
    directions = directions[:2] * np.sign(directions[:2].sum(axis=1, keepdims=True) + 1e-30)
    points = np.zeros((len(X), 2))
    points[:, : len(directions)] = centred @ directions.T
    first, second = [*(variances / max(variances.sum(), 1e-30)).tolist(), 0.0][:2]
    return points, (first, second)


def frequent(groups: Sequence[str], n: int) -> tuple[list[str], np.ndarray]:
    """The n most frequent groups, "other" last if there are more, and each item's place there."""
    names, counts = np.unique([group for group in groups if group] or [""], return_counts=True)
    most_frequent = names[np.argsort(-counts, kind="stable")][:n].tolist()
    places = {name: place for place, name in enumerate(most_frequent)}
    colours = np.array([places.get(group, len(most_frequent)) for group in groups], int)
    return (
        [*most_frequent, "other"] if (colours == len(most_frequent)).any() else most_frequent
    ), colours
