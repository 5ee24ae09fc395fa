"""The report's kinds of plots.

Each takes numbers and says what they are: title, axes with units, and a note.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter
from matplotlib.transforms import Bbox

from cofi_jobs.report.drawing import (
    DASHES,
    INK,
    MARKERS,
    MUTED,
    N_COLOURS,
    SERIES,
    Plot,
    draw_plot,
    lay_out,
    legend,
    short,
    two_lines,
)

Values = Sequence[float | None]
Point = tuple[float, float]
UNIT_SQUARE = (np.zeros(2), np.ones(2))
Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class Dot:
    """A labelled value with an interval around it, if there is one."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


def dots(
    title: str, rows: Sequence[Dot], xlabel: str, ylabel: str, note: str = "", zero: bool = False
) -> Plot:
    """One value a line. The first is on top and in colour; with `zero` each that is not 0 is."""

    def draw(ax: Axes) -> None:
        for place, row in enumerate(rows):
            colour = _colour_by_sign(row) if zero else SERIES[0] if place == 0 else MUTED
            if row.low is not None and row.high is not None:
                ax.plot([row.low, row.high], [place, place], color=colour, linewidth=2.2, alpha=0.6)
            ax.plot(row.value, place, "o", color=colour, markersize=7)
            text = f"{row.value:+.1f}" if zero else f"{row.value:.4f}"
            _write(ax, text, (row.value, place), (0, 6), ha="center")
        if zero:
            ax.axvline(0, color=INK, linewidth=1)
        ax.set_yticks(range(len(rows)), [two_lines(row.label) for row in rows], color=INK)
        ax.set_ylim(len(rows) - 0.5, -0.75)
        ax.margins(x=0.12)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.grid(axis="y", visible=False)

    return draw_plot(title, draw, xlabel, ylabel, 0.95 + 0.36 * len(rows), note)


def _colour_by_sign(row: Dot) -> str:
    """Grey where 0 is possible."""
    if row.low is None or row.high is None or row.low <= 0 <= row.high:
        return MUTED
    return SERIES[2] if row.value > 0 else SERIES[1]


def bars(
    title: str,
    labels: Sequence[str],
    values: Sequence[float],
    xlabel: str,
    ylabel: str,
    note: str = "",
    form: str = "{:,.0f}",
) -> Plot:
    """Lengths from zero, one a line, the first on top."""

    def draw(ax: Axes) -> None:
        drawn = ax.barh(range(len(values)), values, color=SERIES[0], height=0.6)
        ax.bar_label(
            drawn, [form.format(value) for value in values], padding=4, fontsize=9, color=INK
        )
        ax.set_yticks(range(len(labels)), [two_lines(label) for label in labels], color=INK)
        ax.set_ylim(len(values) - 0.5, -0.5)
        ax.set_xlim(0, max([*values, 0]) * 1.2 or 1)
        ax.grid(axis="y", visible=False)

    return draw_plot(title, draw, xlabel, ylabel, 0.95 + 0.3 * len(values), note)


def columns(
    title: str,
    centres: np.ndarray,
    width: float,
    series: Mapping[str, np.ndarray],
    xlabel: str,
    ylabel: str,
    note: str = "",
) -> Plot:
    """Distributions over the same bins: the first as columns, the others as lines over them."""

    def draw(ax: Axes) -> None:
        for number, (name, heights) in enumerate(series.items()):
            if number == 0:
                ax.bar(centres, heights, width * 0.92, color=SERIES[0], alpha=0.55, label=name)
            else:
                ax.plot(
                    centres,
                    heights,
                    DASHES[number - 1],
                    color=SERIES[number],
                    linewidth=2,
                    label=name,
                )
        if len(series) > 1:
            legend(ax, 1)

    return draw_plot(title, draw, xlabel, ylabel, 3.2, note)


def lines(
    title: str,
    series: Mapping[str, tuple[np.ndarray, np.ndarray]],
    xlabel: str,
    ylabel: str,
    note: str = "",
    percent: bool = False,
) -> Plot:
    """Curves over a common axis. With `percent` both axes are shares."""

    def draw(ax: Axes) -> None:
        for number, (name, (x, y)) in enumerate(series.items()):
            few: Any = {"marker": MARKERS[number], "markersize": 4} if len(x) <= 40 else {}
            ax.plot(
                x,
                y,
                DASHES[number % 4],
                color=SERIES[number % N_COLOURS],
                linewidth=2,
                label=name,
                **few,
            )
        if percent:
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter(PercentFormatter(1, 0))
        else:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend(ax)

    return draw_plot(title, draw, xlabel, ylabel, 3.2, note)


def runs(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Values],
    ylabel: str,
    note: str = "",
    intervals: Mapping[str, Sequence[Interval]] | None = None,
    log: bool = False,
) -> Plot:
    """Values run by run, the oldest on the left. Without missing ones and, if `log`, without 0."""

    def draw(ax: Axes) -> None:
        x = np.arange(len(labels))
        for number, (name, values) in enumerate(series.items()):
            shown = [np.nan if value is None or (log and not value) else value for value in values]
            for place, (low, high) in enumerate((intervals or {}).get(name, [])):
                if low is not None and high is not None:
                    wide: Any = {"linewidth": 5, "alpha": 0.3}
                    ax.plot([place, place], [low, high], color=SERIES[number], **wide)
            style: Any = {"marker": MARKERS[number], "color": SERIES[number], "linewidth": 1.6}
            ax.plot(x, np.array(shown, float), DASHES[number % 4], label=name, **style)
        if log:
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            ax.yaxis.set_minor_formatter(NullFormatter())
        every = -(-len(labels) // 6)
        ax.set_xticks(x[::-1][::every], labels[::-1][::every])
        ax.set_xlim(-0.5, len(labels) - 0.5)
        legend(ax)

    return draw_plot(title, draw, "run (UTC)", ylabel, 3.1, note)


def groups(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[Dot | None]],
    xlabel: str,
    ylabel: str,
    note: str = "",
    form: str = "{:.3f}",
) -> Plot:
    """Bars below each other for each group, with intervals."""

    def draw(ax: Axes) -> None:
        height = 0.8 / len(series)
        for number, (name, dots) in enumerate(series.items()):
            offset = (number - (len(series) - 1) / 2) * height
            bars = {place + offset: dot for place, dot in enumerate(dots) if dot is not None}
            for y, dot in bars.items():
                label = name if y == min(bars) else None  # a name once in the legend
                _bar(ax, dot, y, height * 0.9, SERIES[number], label, form)
        ax.set_yticks(range(len(labels)), labels, color=INK)
        ax.set_ylim(len(labels) - 0.5, -0.5)
        ax.margins(x=0.15)
        ax.grid(axis="y", visible=False)
        legend(ax)

    return draw_plot(title, draw, xlabel, ylabel, 1 + 0.24 * len(labels) * len(series), note)


def _bar(
    ax: Axes, dot: Dot, y: float, height: float, colour: str, label: str | None, form: str
) -> None:
    """A bar with its interval, and its value behind both."""
    ax.barh(y, dot.value, height, color=colour, alpha=0.75, label=label)
    if dot.low is not None and dot.high is not None:
        ax.plot([dot.low, dot.high], [y, y], color=INK, linewidth=1.2)
    end = max(dot.value, dot.high or 0)
    _write(ax, form.format(dot.value), (end, y), (4, 0), va="center")


def _write(ax: Axes, text: str, point: Point, offset: Point, **alignment: str) -> Annotation:
    """Write beside a point, `offset` units away."""
    style: Any = {"textcoords": "offset points", "fontsize": 9, "color": INK, **alignment}
    return ax.annotate(text, point, offset, **style)


def scatter(
    title: str,
    points: np.ndarray,
    sizes: np.ndarray,
    colour: np.ndarray,
    names: Sequence[str],
    titles: Sequence[str],
    xlabel: str,
    ylabel: str,
    n_labels: int = 12,
    note: str = "",
) -> Plot:
    """Points (n, 2) coloured by group, with as many of the titles as fit, the first first.

    `colour` (n,) is the place of a point's group in `names`.
    """

    def draw(ax: Axes) -> None:
        for number, name in enumerate(names):
            in_group = colour == number
            style: Any = {"alpha": 0.55, "linewidths": 0, "marker": MARKERS[number]}
            style |= {"s": sizes[in_group], "c": SERIES[number]}
            ax.scatter(*points[in_group].T, label=name, **style)
        if len(names) > 1:
            for handle in legend(ax, 3).legend_handles:
                handle.set(sizes=[36])  # type: ignore[union-attr]
        low, high = np.percentile(points, (0.5, 99.5), axis=0) if len(points) else UNIT_SQUARE
        pad = np.maximum(high - low, 1e-6) * 0.08
        ax.set_xlim(low[0] - pad[0], high[0] + pad[0])
        ax.set_ylim(low[1] - pad[1], high[1] + pad[1])
        _place_titles(ax, points, titles, n_labels)

    return draw_plot(title, draw, xlabel, ylabel, 5.6, note)


def _place_titles(ax: Axes, points: np.ndarray, titles: Sequence[str], n: int) -> None:
    """Write titles beside their points where they meet neither each other nor the border."""
    lay_out(ax.get_figure(root=True))
    frame, taken = ax.get_window_extent(), list[Bbox]()
    for point, title in zip(points, titles, strict=False):
        if len(taken) == n:
            return
        for dx, dy, side in ((6, 0, "left"), (-6, 0, "right"), (0, 8, "center"), (0, -8, "center")):
            text = _write(ax, short(title, 26), point, (dx, dy), ha=side, va="center")
            text.set_in_layout(False)
            box = text.get_window_extent()
            if _is_inside(box, frame) and not any(box.padded(2).overlaps(other) for other in taken):
                ax.plot(*point, "o", color=INK, markersize=3)
                taken.append(box)
                break
            text.remove()


def _is_inside(box: Bbox, frame: Bbox) -> bool:
    return bool(
        frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    )
