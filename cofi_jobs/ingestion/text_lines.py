"""Lines of a text file in any encoding, with any line ends, in bounded memory."""

import re
from collections.abc import Iterator
from pathlib import Path

from cofi_jobs.core.errors import DataError
from cofi_jobs.ingestion.packed import HEAD, Unpacked, check_is_text, open_unpacked
from cofi_jobs.ingestion.text_encoding import BLOCK, Encoding, first_encoding

LONGEST_HEADER = 1 << 20  # characters
SHOWN = 1000  # characters of a line that is too long
# A lone surrogate, as BROKEN is one, at the end of the start of a line that is too long.
CUT = "\udcfe"
SEPARATOR_LINE = re.compile(r"sep=.", re.IGNORECASE)  # Excel's first line for itself


def lines(file: Unpacked, encoding: Encoding, longest: int) -> Iterator[str]:
    r"""The lines without their ends. Of one of more than `longest` characters its start and CUT.

    A line ends in \n, \r, \r\n or \r\r\n.
    """
    decoder = encoding.decoder()
    unfinished: list[str] = []
    n_unfinished, carried = 0, ""
    while True:
        block = file.read(BLOCK)
        text = carried + decoder.decode(block, final=not block)
        carried = text[len(text.rstrip("\r")) :][-2:] if block else ""
        text = text.removesuffix(carried)
        if "\r" in text:
            text = text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")
        first, *others = text.split("\n")
        if n_unfinished <= longest:
            unfinished.append(first)
        n_unfinished += len(first)
        if others:
            yield _bounded("".join(unfinished), n_unfinished, longest)
            *whole, last = others
            yield from (_bounded(line, len(line), longest) for line in whole)
            unfinished, n_unfinished = [last], len(last)
        if not block:
            break
    if n_unfinished:
        yield _bounded("".join(unfinished), n_unfinished, longest)


def _bounded(line: str, length: int, longest: int) -> str:
    return line if length <= longest else line[:SHOWN] + CUT


def read_encoding(path: Path, declared: str) -> Encoding:
    """The encoding of a file by its start and the setting.

    Raises DataError if the file is no text.
    """
    check_is_text(path)
    with open_unpacked(path) as file:
        head = file.read(HEAD)
    encoding = first_encoding(head, declared)
    if encoding.extends_ascii and b"\0" in head.partition(b"\n")[0]:
        raise DataError(f"{path} is binary, expected text or a Parquet file")
    return encoding


def first_line(path: Path, encoding: Encoding) -> tuple[str, int]:
    """The first line that is not blank, and how many lines are above it.

    Excel's line `sep=;` counts as blank. A line that is longer than any header ends in CUT.
    """
    n_above = 0
    with open_unpacked(path) as file:
        for line in lines(file, encoding, LONGEST_HEADER):
            if line.strip() and not (n_above == 0 and SEPARATOR_LINE.fullmatch(line)):
                return line, n_above
            n_above += 1
    return "", n_above
