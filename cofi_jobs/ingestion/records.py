"""Records of a CSV-like text: which lines are well formed, and why the others are not."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from cofi_jobs.ingestion.text_encoding import BROKEN, WINDOWS, Encoding, is_in
from cofi_jobs.ingestion.text_lines import CUT

LONGEST_QUOTED = 1 << 21  # characters of a record with quotation marks; as DuckDB's
csv.field_size_limit(LONGEST_QUOTED)  # the module's own limit is 131,072
MARKS = re.compile(f"[{BROKEN}{CUT}]")
MISSING = "line is malformed: missing columns"
TOO_MANY = "line is malformed: too many columns"
UNQUOTED = "line is malformed: unquoted value"
TOO_LONG = "line is too long"


class UnclosedQuoteError(Exception):
    """A quotation mark is not closed in its line; its argument is the line's number."""


@dataclass(frozen=True)
class Shape:
    """What a well-formed record has; `quote` is a quotation mark or empty."""

    separator: str
    n_columns: int
    quote: str

    def flaw(self, line: str) -> str:
        """Why a line without quotation marks is malformed, "" if it is not."""
        n_columns = line.count(self.separator) + 1
        if n_columns == self.n_columns:
            return ""
        if n_columns < self.n_columns:
            return MISSING
        # As to DuckDB, no column follows a separator at the end.
        ends = n_columns == self.n_columns + 1 and line.endswith(self.separator)
        return "" if ends else TOO_MANY

    def cells_flaw(self, cells: list[str]) -> str:
        """Why a line of these cells is malformed, "" if it is not."""
        if len(cells) < self.n_columns:
            return MISSING
        return TOO_MANY if any(cells[self.n_columns :]) or len(cells) > self.n_columns + 1 else ""

    def joined(self, cells: list[str]) -> str:
        """Cells as a line that any reader of CSV understands."""
        special = (self.separator, self.quote, "\n")
        return self.separator.join(
            self.quote + cell.replace(self.quote, 2 * self.quote) + self.quote
            if any(mark in cell for mark in special)
            else cell
            for cell in cells
        )


class Record(NamedTuple):
    """A record: the number of its first line, its text, and why it is no good one, "" if it is."""

    line: int
    text: str
    reason: str


def records(lines: Iterator[tuple[int, str]], shape: Shape, encoding: Encoding) -> Iterator[Record]:
    """The records of numbered lines. Blank lines are none.

    Raises UnclosedQuoteError if a quotation mark takes lines after it and is not closed well.
    """
    for number, line in lines:
        if not line:
            continue
        if reason := _damage(line, encoding):
            yield Record(number, line, reason)
        elif shape.quote and shape.quote in line:
            yield _quoted(number, line, lines, shape, encoding)
        else:
            yield Record(number, line, shape.flaw(line))


def _damage(line: str, encoding: Encoding) -> str:
    """What is wrong with the characters of a line, "" if nothing is."""
    if not line.isascii():
        if mark := MARKS.search(line):
            return TOO_LONG if mark[0] == CUT else f"line is not valid {encoding.name}"
        if encoding == WINDOWS and is_in(line.encode(encoding.codec), "utf-8"):
            return f"line is UTF-8 in a file of {encoding.name}"
    return "line has a NUL character" if "\0" in line else ""


def _quoted(
    number: int,
    first: str,
    following: Iterator[tuple[int, str]],
    shape: Shape,
    encoding: Encoding,
) -> Record:
    """A record that begins in a line with quotation marks, and takes lines that follow."""
    if len(first) > LONGEST_QUOTED:
        return Record(number, first[:1000], TOO_LONG)
    parts: list[str] = []

    def text() -> Iterator[str]:
        n_characters = len(first)
        parts.append(first)
        yield first + "\n"
        for _, line in following:
            n_characters += len(line) + 1
            if n_characters > LONGEST_QUOTED:
                raise UnclosedQuoteError(number)
            parts.append(line)
            yield line + "\n"

    try:
        cells = next(csv.reader(text(), delimiter=shape.separator, strict=True))
    except csv.Error:
        if len(parts) > 1:
            raise UnclosedQuoteError(number) from None
        return Record(number, first, UNQUOTED)
    flaws = (reason for part in parts if (reason := _damage(part, encoding)))
    if reason := next(flaws, shape.cells_flaw(cells)):
        return Record(number, "\n".join(parts), reason)
    return Record(number, shape.joined(cells[: shape.n_columns]), "")
