"""Plots as SVG for a page: text stays text, colours are the page's CSS variables, the same input gives the same SVG.

Matplotlib draws with stand-in colours that `_svg` replaces by `var(--...)`, so that one drawing fits light and dark.
"""

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter
from matplotlib.transforms import Bbox

N_COLOURS = 9
INK, MUTED, GRID = "#010203", "#010204", "#010205"
SERIES = [f"#0102{0x10 + number:02x}" for number in range(N_COLOURS)]
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid"} | {c: f"--series-{n}" for n, c in enumerate(SERIES)}
MARKERS = "osD^v<>pP"
DASHES = ("-", "--", ":", "-.")
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cofi",
    "text.parse_math": False,  # a $ in a title is a dollar
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
WIDTH = 5.6  # inches of 72 units: about the width of a phone, so that text is hardly scaled there

Values = Sequence[float | None]
Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class Plot:
    """A drawing, what it shows in one sentence, and what a reader needs to know besides."""

    title: str
    svg: str
    note: str = ""


@dataclass(frozen=True)
class Dot:
    """A labelled value with an interval around it, if there is one."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


def dots(title: str, rows: Sequence[Dot], xlabel: str, ylabel: str, note: str = "", zero: bool = False) -> Plot:
    """One value a line, the first on top and in colour; with `zero` each that lies above or below 0 is."""

    def draw(ax: Axes) -> None:
        for place, row in enumerate(rows):
            if zero:
                colour = MUTED if row.low is None or row.high is None or row.low <= 0 <= row.high else (
                    SERIES[2] if row.value > 0 else SERIES[1])  # fmt: skip
            else:
                colour = SERIES[0] if place == 0 else MUTED
            if row.low is not None and row.high is not None:
                ax.plot([row.low, row.high], [place, place], color=colour, linewidth=2.2, alpha=0.6)
            ax.plot(row.value, place, "o", color=colour, markersize=7)
            ax.annotate(f"{row.value:+.1f}" if zero else f"{row.value:.4f}", (row.value, place), (0, 6),
                        textcoords="offset points", ha="center", fontsize=9, color=INK)  # fmt: skip
        if zero:
            ax.axvline(0, color=INK, linewidth=1)
        ax.set_yticks(range(len(rows)), [two_lines(row.label) for row in rows], color=INK)
        ax.set_ylim(len(rows) - 0.5, -0.75)
        ax.margins(x=0.12)
        ax.grid(axis="y", visible=False)

    return _plot(title, draw, xlabel, ylabel, 0.95 + 0.36 * len(rows), note)


def bars(title: str, labels: Sequence[str], values: Sequence[float], xlabel: str, ylabel: str, note: str = "",
         form: str = "{:,.0f}") -> Plot:  # fmt: skip
    """Lengths from zero, one a line, the first on top."""

    def draw(ax: Axes) -> None:
        drawn = ax.barh(range(len(values)), values, color=SERIES[0], height=0.6)
        ax.bar_label(drawn, [form.format(value) for value in values], padding=4, fontsize=9, color=INK)
        ax.set_yticks(range(len(labels)), [two_lines(label) for label in labels], color=INK)
        ax.set_ylim(len(values) - 0.5, -0.5)
        ax.set_xlim(0, max([*values, 0]) * 1.2 or 1)
        ax.grid(axis="y", visible=False)

    return _plot(title, draw, xlabel, ylabel, 0.95 + 0.3 * len(values), note)


def columns(title: str, centres: np.ndarray, width: float, series: Mapping[str, np.ndarray], xlabel: str, ylabel: str,
            note: str = "") -> Plot:  # fmt: skip
    """Distributions over the same bins: the first as columns, the others as lines over them."""

    def draw(ax: Axes) -> None:
        for number, (name, heights) in enumerate(series.items()):
            if number == 0:
                ax.bar(centres, heights, width * 0.92, color=SERIES[0], alpha=0.55, label=name)
            else:
                ax.plot(centres, heights, DASHES[number - 1], color=SERIES[number], linewidth=2, label=name)
        if len(series) > 1:
            _legend(ax, 1)

    return _plot(title, draw, xlabel, ylabel, 3.2, note)


def lines(title: str, series: Mapping[str, tuple[np.ndarray, np.ndarray]], xlabel: str, ylabel: str, note: str = "",
          percent: bool = False) -> Plot:  # fmt: skip
    """Curves over a common axis. With `percent` both axes are shares."""

    def draw(ax: Axes) -> None:
        for number, (name, (x, y)) in enumerate(series.items()):
            few: Any = {"marker": MARKERS[number], "markersize": 4} if len(x) <= 40 else {}
            ax.plot(x, y, DASHES[number % 4], color=SERIES[number % N_COLOURS], linewidth=2, label=name, **few)
        if percent:
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter(PercentFormatter(1, 0))
        else:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(ax)

    return _plot(title, draw, xlabel, ylabel, 3.2, note)


def nights(title: str, labels: Sequence[str], series: Mapping[str, Values], ylabel: str, note: str = "",
           intervals: Mapping[str, Sequence[Interval]] | None = None, log: bool = False) -> Plot:  # fmt: skip
    """Values night by night, the oldest on the left. Missing ones, and 0 on a logarithmic axis, are left out."""

    def draw(ax: Axes) -> None:
        x = np.arange(len(labels))
        for number, (name, values) in enumerate(series.items()):
            y = np.array([np.nan if value is None or (log and not value) else value for value in values], float)
            for place, (low, high) in enumerate((intervals or {}).get(name, [])):
                if low is not None and high is not None:
                    ax.plot([place, place], [low, high], color=SERIES[number], linewidth=5, alpha=0.3)
            ax.plot(x, y, DASHES[number % 4], marker=MARKERS[number], color=SERIES[number], linewidth=1.6, label=name)
        if log:
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            ax.yaxis.set_minor_formatter(NullFormatter())
        every = -(-len(labels) // 7)
        ax.set_xticks(x[::-1][::every], labels[::-1][::every])
        ax.set_xlim(-0.5, len(labels) - 0.5)
        _legend(ax)

    return _plot(title, draw, "night (UTC)", ylabel, 3.1, note)


def groups(title: str, labels: Sequence[str], series: Mapping[str, Sequence[Dot | None]], xlabel: str, ylabel: str,
           note: str = "", form: str = "{:.3f}") -> Plot:  # fmt: skip
    """Columns side by side for each group, with intervals."""

    def draw(ax: Axes) -> None:
        width = 0.8 / len(series)
        for number, (name, found) in enumerate(series.items()):
            for place, dot in enumerate(found):
                if dot is None:
                    continue
                x = place + (number - (len(series) - 1) / 2) * width
                ax.bar(x, dot.value, width * 0.9, color=SERIES[number], alpha=0.75,
                       label=name if not any(found[:place]) else None)  # fmt: skip
                if dot.low is not None and dot.high is not None:
                    ax.plot([x, x], [dot.low, dot.high], color=INK, linewidth=1.2)
                top = max(dot.value, dot.high or 0)
                ax.annotate(
                    form.format(dot.value), (x, top), (0, 2), textcoords="offset points", ha="center", fontsize=8
                )
        ax.set_xticks(range(len(labels)), labels, color=INK)
        ax.grid(axis="x", visible=False)
        ax.margins(y=0.1)
        _legend(ax)

    return _plot(title, draw, xlabel, ylabel, 3.3, note)


def scatter(title: str, points: np.ndarray, sizes: np.ndarray, colour: np.ndarray, names: Sequence[str],
            titles: Sequence[str], xlabel: str, ylabel: str, n_labels: int = 12, note: str = "") -> Plot:  # fmt: skip
    """Points (n, 2) coloured by group, with as many of the titles as fit, the first first.

    `colour` (n,) is the place of a point's group in `names`.
    """

    def draw(ax: Axes) -> None:
        for number, name in enumerate(names):
            own = colour == number
            x, y = points[own].T
            ax.scatter(
                x, y, s=sizes[own], c=SERIES[number], marker=MARKERS[number], alpha=0.55, linewidths=0, label=name
            )
        if len(names) > 1:
            legend = _legend(ax, 3)
            for handle in legend.legend_handles:
                handle.set(sizes=[36])  # type: ignore[union-attr]
        low, high = np.percentile(points, (0.5, 99.5), axis=0) if len(points) else (np.zeros(2), np.ones(2))
        pad = np.maximum(high - low, 1e-6) * 0.08
        ax.set_xlim(low[0] - pad[0], high[0] + pad[0])
        ax.set_ylim(low[1] - pad[1], high[1] + pad[1])
        _place_titles(ax, points, titles, n_labels)

    return _plot(title, draw, xlabel, ylabel, 5.6, note)


def short(text: str, most: int) -> str:
    """A text on one line, printable, cut after `most` characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def two_lines(text: str) -> str:
    """A text as the label of a line of a plot, cut after two lines."""
    first, *rest = textwrap.wrap(short(text, 200), 30) or [""]
    return "\n".join([first, short(" ".join(rest), 30)]) if rest else first


def _place_titles(ax: Axes, points: np.ndarray, titles: Sequence[str], n: int) -> None:
    """Write titles beside their points where they meet neither each other nor the border."""
    _lay_out(ax.get_figure(root=True))
    frame, taken = ax.get_window_extent(), list[Bbox]()
    for point, title in zip(points, titles, strict=False):
        if len(taken) == n:
            return
        for dx, dy, side in ((6, 0, "left"), (-6, 0, "right"), (0, 8, "center"), (0, -8, "center")):
            text = ax.annotate(short(title, 26), point, (dx, dy), textcoords="offset points", ha=side, va="center",
                               fontsize=9, color=INK)  # fmt: skip
            text.set_in_layout(False)
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not any(box.padded(2).overlaps(other) for other in taken):
                ax.plot(*point, "o", color=INK, markersize=3)
                taken.append(box)
                break
            text.remove()


def _legend(ax: Axes, most: int = 3) -> Legend:
    handles, names = ax.get_legend_handles_labels()
    return ax.legend(handles, [short(name, 40) for name in names], loc="lower left", bbox_to_anchor=(-0.02, 1),
                     ncols=min(most, max(len(names), 1)), columnspacing=1.2, handletextpad=0.4, borderaxespad=0.2,
                     fontsize=9)  # fmt: skip


def _plot(title: str, draw: Callable[[Axes], None], xlabel: str, ylabel: str, height: float, note: str) -> Plot:
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the reader's browser has its own fonts
        figure = Figure((WIDTH, height))
        ax = figure.add_subplot()
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        draw(ax)
        _lay_out(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return Plot(title, _svg(file.getvalue()), note)


def _lay_out(figure: Figure | None) -> None:
    """Give everything its place, once: left on, the engine would do it in each of several passes of drawing."""
    if figure and (engine := figure.get_layout_engine()):
        engine.execute(figure)
        figure.set_layout_engine("none")


def _svg(text: str) -> str:
    """What Matplotlib wrote, fit to stand inside a page: no prologue, size or style of its own, the page's colours."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 role="img">', text, count=1)
    return _in_tags(text, {"xlink:href": "href"} | {c: f"var({name})" for c, name in VARIABLES.items()})


def unique(svg: str, prefix: str) -> str:
    """The same drawing with a prefix before all of its ids, so that it can stand beside others in a page."""
    return _in_tags(svg, {before: before + prefix for before in (' id="', ' href="#', "url(#")})


def _in_tags(svg: str, changes: Mapping[str, str]) -> str:
    """Replace in tags only: titles of items stay as they are."""

    def changed(tag: re.Match[str]) -> str:
        text = tag[0]
        for old, new in changes.items():
            text = text.replace(old, new)
        return text

    return re.sub(r"<[^<>]*>", changed, svg)
