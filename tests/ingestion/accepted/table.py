"""The cases of all kinds, and their table in docs/operating.md."""

from tests.ingestion.accepted import columns, events, files, texts, values
from tests.support.repository import ROOT

DOCUMENT = ROOT / "docs" / "operating.md"
START, END = "<!-- accepted -->\n", "\n<!-- /accepted -->"
KINDS = {
    "formats": files.FORMATS,
    "JSON": files.JSON,
    "text": texts.TEXT,
    "packed": texts.PACKED,
    "folders, names": files.FOLDERS,
    "columns": columns.COLUMNS,
    "ids": values.IDS,
    "ratings": values.RATINGS,
    "scale": values.SCALE,
    "times": values.TIMES,
    "events": events.EVENTS,
}


def table() -> str:
    """The cases as a table in Markdown."""
    lines = ["| kind | input | settings | what becomes of it |", "| --- | --- | --- | --- |"]
    for kind, cases in KINDS.items():
        for number, case in enumerate(cases):
            settings = " ".join(f"`{setting}`" for setting in case.settings)
            shown = kind if number == 0 else ""
            lines.append(f"| {shown} | {case.what} | {settings} | {case.outcome} |")
    return "\n".join(lines)


def written() -> str:
    """The table that the document has."""
    return DOCUMENT.read_text().partition(START)[2].partition(END)[0]


def write() -> None:
    """Write the table into the document."""
    before, start, rest = DOCUMENT.read_text().partition(START)
    _, end, after = rest.partition(END)
    DOCUMENT.write_text(before + start + table() + end + after)
