"""Which paths CoFi takes: those that a message, a JSON record and DuckDB can hold."""

import re
from pathlib import Path, PurePath

from cofi_jobs.core.errors import DataError

NOT_UTF8 = re.compile(r"[\ud800-\udfff]")  # Python's stand-ins for such bytes
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A line break would break each message and each list of files that shows the path. DuckDB takes a
# backslash for a slash where it looks for files.
REFUSED = {
    "bytes that are not UTF-8": NOT_UTF8,
    "a control character, such as a line break": CONTROL,
    "a backslash": re.compile(r"\\"),
}
# DuckDB puts what it writes ahead into another folder then.
REFUSED_OF_STORES = REFUSED | {"a question mark": re.compile(r"\?")}


def readable_path(path: Path | str) -> str:
    """The path of a file as text. Raises DataError for a path that cannot be shown or read."""
    return _checked(str(path), REFUSED)


def store_path(path: Path | str) -> str:
    """The path of a store's folder as text. Raises DataError for one that cannot be used."""
    return _checked(str(path), REFUSED_OF_STORES)


def shown(path: PurePath | str) -> str:
    """A path in one line of UTF-8 text, with escapes where it is none."""
    text = str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda character: ascii(character[0])[1:-1], text)


def _checked(path: str, refused: dict[str, re.Pattern[str]]) -> str:
    for problem, pattern in refused.items():
        if pattern.search(path):
            raise DataError(
                f"found {problem} in the path {shown(path)}, expected a path without; "
                "rename the file or its folder"
            )
    return path
