"""The items on a plane, by their features."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.report import plots
from cofi_jobs.report.night import Night
from cofi_jobs.report.section import Section
from cofi_jobs.store.vectors import from_column

MAPPED_ITEMS, MAPPED_GROUPS, MAPPED_TITLES = 1500, 8, 12


def map_section(night: Night) -> Section:
    """The items on a plane, by their features."""
    section = Section("map", "A map of the items")
    items = night.run.items()
    X = from_column(
        pq.read_table(night.file("model", "item_factors.parquet"), columns=["ranking_factors"])[
            "ranking_factors"
        ]
    )
    n_ratings = items["n_ratings"].to_numpy()
    most = np.argsort(-n_ratings, kind="stable")[:MAPPED_ITEMS]
    points, shares = principal_components(to_unit_length(X[most]))
    groups = [_first_group(text) for text in items["groups"].take(pa.array(most)).to_pylist()]
    names, colour = frequent(groups, MAPPED_GROUPS)
    size = 6 + 60 * np.sqrt(n_ratings[most] / n_ratings.max())
    titles = [night.titles[row] for row in most]
    by_group = " coloured by genre (the catalogue's first group)" if any(groups) else ""
    section.plots.append(
        plots.scatter(
            f"The {len(most):,} most rated items as the ranking model sees them,{by_group}".rstrip(
                ","
            ),
            points,
            size,
            colour,
            names,
            titles,
            f"principal component 1 ({shares[0]:.0%} of the variance)",
            f"principal component 2 ({shares[1]:.0%} of the variance)",
            n_labels=MAPPED_TITLES,
            note="Near each other: liked by the same users. Larger: rated more often. Axes: principal components of "
            "the items' features at length 1, no unit. The outermost 1 % may lie outside.",
        )
    )
    return section


def principal_components(X: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Rows of X (n, n_factors) on the two directions of most variance (n, 2), and their shares of all variance."""
    centred = X.astype(np.float64) - X.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred)
    variances, directions = np.maximum(variances[::-1], 0), directions.T[::-1]
    # A direction has no sign of its own; with this one the map does not flip from night to night.
    directions = directions[:2] * np.sign(directions[:2].sum(axis=1, keepdims=True) + 1e-30)
    points = np.zeros((len(X), 2))
    points[:, : len(directions)] = centred @ directions.T
    first, second = [*(variances / max(variances.sum(), 1e-30)).tolist(), 0.0][:2]
    return points, (first, second)


def frequent(groups: Sequence[str], n: int) -> tuple[list[str], np.ndarray]:
    """The n most frequent groups, "other" last if there are more, and each item's place among them."""
    names, counts = np.unique([group for group in groups if group] or [""], return_counts=True)
    kept = names[np.argsort(-counts, kind="stable")][:n].tolist()
    places = {name: place for place, name in enumerate(kept)}
    colour = np.array([places.get(group, len(kept)) for group in groups], int)
    return ([*kept, "other"] if (colour == len(kept)).any() else kept), colour


def _first_group(groups: str | None) -> str:
    return (groups or "").split("|")[0].strip()
