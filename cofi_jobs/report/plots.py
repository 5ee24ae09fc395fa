"""The report's kinds of plots.

Each takes numbers and says what they are: title, axes with units, and a note. Texts are HTML beside
the drawing, so they are as large as the page's other texts at any width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from markupsafe import Markup

from cofi_jobs.report import axes
from cofi_jobs.report.axes import Axis
from cofi_jobs.report.drawing import Plot, short
from cofi_jobs.report.template import fill
from cofi_jobs.report.words import with_minus

Values = Sequence[float | None]
Interval = tuple[float | None, float | None]
LABEL = 80  # letters of the label of a line
MOST_DOTTED = 40  # points of a curve that are marked one by one


@dataclass(frozen=True)
class Dot:
    """A labelled value with an interval around it, if there is one."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None

    def ends(self) -> list[float]:
        """The value, and the ends of its interval."""
        return [end for end in (self.value, self.low, self.high) if end is not None]


@dataclass(frozen=True)
class Row:
    """A line of a plot: places in percent."""

    label: str
    text: str
    tone: str  # a class of the style sheet
    start: float  # of the bar
    end: float
    low: float | None = None  # of the interval
    high: float | None = None
    heading: str = ""  # above the line


@dataclass(frozen=True)
class Curve:
    """A series of a plot over two axes: places in percent, x from the left and y from below."""

    name: str
    number: int
    pieces: Sequence[Sequence[tuple[float, float]]]  # without the points that are missing
    dotted: bool
    whiskers: Sequence[tuple[float, float, float]] = ()  # x, and an interval of y


@dataclass(frozen=True)
class Columns:
    """Columns over the horizontal axis, their places in percent: left, width, height."""

    name: str
    boxes: Sequence[tuple[float, float, float]]


def dots(
    title: str, rows: Sequence[Dot], xlabel: str, ylabel: str, note: str = "", zero: bool = False
) -> Plot:
    """One value a line. The first is on top and in colour; with `zero` each that is not 0 is."""
    ends = [end for row in rows for end in row.ends()]
    axis = axes.signed_logarithmic(ends) if zero else replace(axes.linear(ends), ticks=())
    form = "{:+.1f}" if zero else "{:.4f}"
    lines = []
    for place, row in enumerate(rows):
        tone = _tone_by_sign(row) if zero else "own" if place == 0 else "other"
        lines.append(_row(row, axis, tone, form, start=axis.at(0) if zero else None))
    return _bars(title, lines, axis, xlabel, ylabel, note)


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
    axis = Axis(0, max([*values, 0]) or 1)
    rows = [
        _row(Dot(label, value), axis, "own", form, start=0.0)
        for label, value in zip(labels, values, strict=True)
    ]
    return _bars(title, rows, axis, xlabel, ylabel, note)


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
    ends = [end for dots in series.values() for dot in dots if dot for end in dot.ends()]
    axis = Axis(0, max([*ends, 0]) or 1)
    rows = []
    for place, label in enumerate(labels):
        heading = label
        for number, (name, dots) in enumerate(series.items()):
            if (dot := dots[place]) is None:
                continue
            tone = "own" if number == 0 else "other"
            row = _row(replace(dot, label=name), axis, tone, form, start=0.0)
            rows.append(replace(row, heading=heading))
            heading = ""
    return _bars(title, rows, axis, xlabel, ylabel, note)


def lines(
    title: str,
    series: Mapping[str, tuple[np.ndarray, np.ndarray]],
    xlabel: str,
    ylabel: str,
    note: str = "",
    percent: bool = False,
) -> Plot:
    """Curves over a common axis. With `percent` both axes are shares."""
    if percent:
        x_axis = y_axis = Axis(0, 1).with_ticks([0, 0.25, 0.5, 0.75, 1], "{:.0%}")
    else:
        x_axis, y_axis = (
            axes.linear([float(v) for points in series.values() for v in points[side]])
            for side in (0, 1)
        )
    curves = [
        _curve(name, number, x.tolist(), y.tolist(), x_axis, y_axis)
        for number, (name, (x, y)) in enumerate(series.items())
    ]
    return _plane(title, x_axis, y_axis, xlabel, ylabel, note, curves=curves)


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
    x_axis = Axis(float(centres[0] - width / 2), float(centres[-1] + width / 2))
    x_axis = x_axis.with_ticks(axes.round_values(x_axis.low, x_axis.high))
    y_axis = axes.linear([float(v) for heights in series.values() for v in heights], zero=True)
    (first, heights), *others = series.items()
    boxes = [
        (x_axis.at(x - width * 0.46), round(92 / len(centres), 2), y_axis.at(y))
        for x, y in zip(centres.tolist(), heights.tolist(), strict=True)
    ]
    curves = [
        _curve(name, number, centres.tolist(), values.tolist(), x_axis, y_axis)
        for number, (name, values) in enumerate(others, 1)
    ]
    return _plane(title, x_axis, y_axis, xlabel, ylabel, note, Columns(first, boxes), curves)


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
    x_axis = Axis(-0.5, len(labels) - 0.5)
    every = -(-len(labels) // 6)
    ticks = [axes.Tick(x_axis.at(x), labels[x]) for x in range(len(labels) - 1, -1, -every)]
    shown = {
        name: [None if value is None or (log and not value) else float(value) for value in values]
        for name, values in series.items()
    }
    ends = [value for values in shown.values() for value in values if value is not None]
    ends += [end for rows in (intervals or {}).values() for row in rows for end in row if end]
    y_axis = axes.logarithmic(ends) if log else axes.linear(ends)
    x = [float(place) for place in range(len(labels))]
    curves = [
        _curve(name, number, x, values, x_axis, y_axis, (intervals or {}).get(name, ()))
        for number, (name, values) in enumerate(shown.items())
    ]
    x_axis = replace(x_axis, ticks=ticks[::-1])
    return _plane(title, x_axis, y_axis, "run (UTC)", ylabel, note, curves=curves)


def _row(dot: Dot, axis: Axis, tone: str, form: str, start: float | None) -> Row:
    """A line; without `start` the value is a dot."""
    at = axis.at(dot.value)
    first = at if start is None else start
    low, high = (None if end is None else axis.at(end) for end in (dot.low, dot.high))
    if low is None or high is None:
        low = high = None
    text = with_minus(form.format(dot.value))
    return Row(short(dot.label, LABEL), text, tone, min(first, at), max(first, at), low, high)


def _tone_by_sign(row: Dot) -> str:
    """Grey where 0 is possible."""
    if row.low is None or row.high is None or row.low <= 0 <= row.high:
        return "unsure"
    return "good" if row.value > 0 else "bad"


def _curve(
    name: str,
    number: int,
    x: Sequence[float],
    y: Values,
    x_axis: Axis,
    y_axis: Axis,
    intervals: Sequence[Interval] = (),
) -> Curve:
    pieces: list[list[tuple[float, float]]] = [[]]
    for place, value in zip(x, y, strict=True):
        if value is None or not np.isfinite(value):
            pieces.append([])
        else:
            pieces[-1].append((x_axis.at(place), y_axis.at(value)))
    whiskers = [
        (x_axis.at(place), y_axis.at(low), y_axis.at(high))
        for place, (low, high) in zip(x, intervals, strict=False)
        if low is not None and high is not None
    ]
    kept = [piece for piece in pieces if piece]
    return Curve(short(name, 40), number, kept, len(x) <= MOST_DOTTED, whiskers)


def _bars(title: str, rows: Sequence[Row], axis: Axis, xlabel: str, ylabel: str, note: str) -> Plot:
    return make_plot(title, "bars.html", xlabel, ylabel, note, rows=rows, ticks=axis.ticks)


def _plane(
    title: str,
    x_axis: Axis,
    y_axis: Axis,
    xlabel: str,
    ylabel: str,
    note: str,
    columns: Columns | None = None,
    curves: Sequence[Curve] = (),
) -> Plot:
    shown: dict[str, Any] = {"x_ticks": x_axis.ticks, "y_ticks": y_axis.ticks}
    return make_plot(
        title, "plane.html", xlabel, ylabel, note, columns=columns, curves=curves, **shown
    )


def make_plot(
    title: str, template: str, xlabel: str, ylabel: str, note: str, **values: Any
) -> Plot:
    """A plot whose drawing is a filled template."""
    return Plot(title, Markup(fill(template, xlabel=xlabel, ylabel=ylabel, **values)), note)
