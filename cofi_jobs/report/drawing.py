"""What a plot is for the page: HTML and SVG whose text stays text of the page's own size."""

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Plot:
    """A drawing, what it shows in one sentence, and what a reader needs to know besides."""

    title: str
    drawing: Markup
    note: str = ""


def short(text: str, most: int) -> str:
    """A text on one line, printable, cut after `most` characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
