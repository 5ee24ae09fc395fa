"""The items on a plane, by their factors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.report.drawing import short
from cofi_jobs.report.plots import make_plot
from cofi_jobs.report.reported_run import FEW_USERS, ReportedRun
from cofi_jobs.report.section import Section
from cofi_jobs.store import parquet
from cofi_jobs.store.vectors import from_column

MAPPED_ITEMS, MAPPED_GROUPS = 1500, 8
FEWEST_ITEMS = 12  # fewer make no map
HEIGHT = 560  # of a plane 1000 wide
EDGE = 0.04  # of the plane, without points


@dataclass(frozen=True)
class Window:
    """A width at which the map is looked at, in pixels of a letter's own size."""

    name: str  # a class of the style sheet
    width: int
    letter: float
    line: float
    most: int  # titles


WINDOWS = (Window("on-desk", 1150, 6.6, 16, 40), Window("on-phone", 350, 6.6, 14, 9))


@dataclass(frozen=True)
class Label:
    """A title on the map; places are in percent."""

    window: str
    text: str
    left: float
    top: float
    is_left: bool  # of its point


@dataclass(frozen=True)
class Point:
    """An item on the plane of 1000 by HEIGHT."""

    x: float
    y: float
    radius: float
    colour: int
    title: str
    remark: str


def map_section(run: ReportedRun) -> Section:
    """The items on a plane, by their factors."""
    section = Section("map", "A map of the items")
    if run.has_few_users:
        section.notes.append(FEW_USERS)
        return section
    factors = parquet.read_table(
        run.file("model", "item_factors.parquet"), columns=["ranking_factors"]
    )
    items = run.tables.items().assign(title=run.titles)
    most = items.sort_values("n_ratings", ascending=False, kind="stable").head(MAPPED_ITEMS)
    if len(most) < FEWEST_ITEMS:
        section.notes.append(f"A map of {len(most)} items says nothing.")
        return section
    X = from_column(factors["ranking_factors"])[most["item_index"].to_numpy(int)]
    components, shares = principal_components(to_unit_length(X))
    groups = most["groups"].fillna("").str.split("|").str[0].str.strip()
    names, colours = frequent(groups.tolist(), MAPPED_GROUPS)
    counted = run.feedback if run.feedback == "ratings" else "users"
    points = _points(components, colours, most, counted)
    by_group = ", coloured by the catalogue's first group" if groups.any() else ""
    plot = make_plot(
        f"The {len(most):,} most popular items as the ranking model sees them{by_group}",
        "map.html",
        f"principal component 1 ({shares[0]:.0%} of the variance)",
        f"principal component 2 ({shares[1]:.0%} of the variance)",
        "Near each other: liked by the same users. Larger: by more users. Axes: principal "
        "components of the items' factors at length 1, no unit. The outermost lie at the edge.",
        points=points[::-1],  # what more users like is drawn last, and not covered
        names=[short(name, 40) for name in names] if groups.any() else [],
        labels=[label for window in WINDOWS for label in labels(points, window)],
        height=HEIGHT,
    )
    section.plots.append(plot)
    return section


def _points(
    components: np.ndarray, colours: np.ndarray, items: pd.DataFrame, counted: str
) -> list[Point]:
    """A point for each item by its first two principal components, larger with more ratings."""
    n_ratings = items["n_ratings"].to_numpy(float)
    places = on_plane(components).tolist()
    radii = (3 + 9 * np.sqrt(n_ratings / n_ratings.max())).tolist()
    described = zip(places, radii, colours, items["title"], n_ratings, strict=True)
    return [
        Point(round(x, 1), round(y, 1), round(radius, 1), int(colour), title, f"{n:,.0f} {counted}")
        for (x, y), radius, colour, title, n in described
    ]


def on_plane(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) on the plane, y from above; those beyond the central 99 % at the edge."""
    low, high = np.percentile(points, (0.5, 99.5), axis=0)
    share = np.clip((points - low) / np.maximum(high - low, 1e-9), 0, 1)
    share = EDGE + (1 - 2 * EDGE) * share
    return np.column_stack([1000 * share[:, 0], HEIGHT * (1 - share[:, 1])])


def labels(points: Sequence[Point], window: Window) -> list[Label]:
    """Titles beside their points where they meet neither each other nor the border.

    The first points come first, as many as there is room for.
    """
    scale, result = window.width / 1000, list[Label]()
    taken: list[tuple[float, float, float, float]] = []
    for point in points:
        if len(result) == window.most:
            break
        text = short(point.title, 26)
        wide = len(text) * window.letter
        y, gap = point.y * scale, point.radius * scale + 3
        for is_left, x in ((False, point.x * scale + gap), (True, point.x * scale - gap - wide)):
            box = (x, y - window.line / 2, x + wide, y + window.line / 2)
            inside = x >= 0 and box[2] <= window.width
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                at = point.x + (-1 if is_left else 1) * gap / scale
                left = round(100 - at / 10 if is_left else at / 10, 2)
                result.append(
                    Label(window.name, text, left, round(100 * point.y / HEIGHT, 2), is_left)
                )
                break
    return result


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


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
