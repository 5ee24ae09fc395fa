"""A plot as SVG for a page.

Text stays text, colours are the page's CSS variables, and the same input gives the same SVG.
Matplotlib draws with stand-in colours that `_svg` replaces by `var(--...)`, so that one drawing
fits a light page and a dark one.
"""

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

N_COLOURS = 9
INK, MUTED, GRID = "#010203", "#010204", "#010205"
SERIES = [f"#0102{0x10 + number:02x}" for number in range(N_COLOURS)]
VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--grid"} | {
    c: f"--series-{n}" for n, c in enumerate(SERIES)
}
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
LINE, LABEL = 54, 22  # letters: of a legend's line, of a label's
# Inches of 72 units: narrower than a phone, so that text of 9 units is 10 pixels high there.
WIDTH = 4.4


@dataclass(frozen=True)
class Plot:
    """A drawing, what it shows in one sentence, and what a reader needs to know besides."""

    title: str
    svg: str
    note: str = ""


def draw_plot(
    title: str, draw: Callable[[Axes], None], xlabel: str, ylabel: str, height: float, note: str
) -> Plot:
    """What `draw` puts between labelled axes, `height` inches high."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing from font"
        )  # the reader's browser has its own fonts
        figure = Figure((WIDTH, height))
        ax = figure.add_subplot()
        ax.set_xlabel(xlabel, loc="right")  # where labels are wide, a centred one would not fit
        ax.set_ylabel(ylabel)
        draw(ax)
        lay_out(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return Plot(title, _svg(file.getvalue()), note)


def lay_out(figure: Figure | None) -> None:
    """Give everything its place, once: the engine would do it again in each pass of drawing."""
    if figure and (engine := figure.get_layout_engine()):
        engine.execute(figure)
        figure.set_layout_engine("none")


def legend(ax: Axes, most: int = 3) -> Legend:
    """A legend above the axes, with up to `most` names in a line, as far as they fit."""
    handles, names = ax.get_legend_handles_labels()
    names = [short(name, 40) for name in names]
    fitting = LINE // (
        max(map(len, names), default=0) + 5
    )  # a name's symbol takes the room of five letters
    return ax.legend(
        handles,
        names,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1),
        ncols=max(1, min(most, fitting, len(names))),
        columnspacing=1.2,
        handletextpad=0.4,
        borderaxespad=0.2,
        fontsize=9,
    )


def _svg(text: str) -> str:
    """Matplotlib's SVG for a page: without prologue, size and style, in the page's colours."""
    text = text[text.index("<svg") :]
    text = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL
    )
    text = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 role="img">', text, count=1)
    return _in_tags(
        text, {"xlink:href": "href"} | {c: f"var({name})" for c, name in VARIABLES.items()}
    )


def unique(svg: str, prefix: str) -> str:
    """The same drawing with a prefix before all of its ids, which are then unique in a page."""
    return _in_tags(svg, {before: before + prefix for before in (' id="', ' href="#', "url(#")})


def _in_tags(svg: str, changes: Mapping[str, str]) -> str:
    """Replace in tags only: titles of items stay as they are."""

    def changed(tag: re.Match[str]) -> str:
        text = tag[0]
        for old, new in changes.items():
            text = text.replace(old, new)
        return text

    return re.sub(r"<[^<>]*>", changed, svg)


def short(text: str, most: int) -> str:
    """A text on one line, printable, cut after `most` characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def two_lines(text: str) -> str:
    """A text as the label of a line of a plot, cut after two lines."""
    first, *rest = textwrap.wrap(short(text, 200), LABEL) or [""]
    return "\n".join([first, short(" ".join(rest), LABEL)]) if rest else first
