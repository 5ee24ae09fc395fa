"""Missing values: the words by which programs write that a cell has none (setting `missing`).

They count in ids, ratings and times alike, whatever the format. Taken as an id, such a word would
make one user of all rows that have none.
"""

from collections.abc import Iterator
from itertools import product

from cofi_jobs.core.ids import BLANKS
from cofi_jobs.settings.lists import texts
from cofi_jobs.store import sql

_BLANKS = ("", " ", "  ")
_MIXED = {"nan": "NaN", "nat": "NaT"}  # as NumPy and pandas write them


def missing_words(setting: str) -> list[str]:
    """The words of the setting, in lower case. The empty cell is always one of them."""
    return sorted({"", *(word.lower() for word in texts(setting))})


def has_numbers(setting: str) -> bool:
    """Whether one of the words looks like a number."""
    return any(word.lstrip("+-.")[:1].isdigit() for word in missing_words(setting))


def macro(setting: str) -> str:
    """A macro of DuckDB, present(cell): the cell's text, NULL if that means a missing value.

    It compares with all spellings, as that takes a fifth of the time of `lower(trim(cell))`.
    """
    spellings = {text for word in missing_words(setting) for text in _spellings(word)}
    words = ", ".join(map(sql.quote, sorted({*spellings, *BLANKS})))
    return f"""
        CREATE OR REPLACE TEMP MACRO present(cell) AS
        CASE WHEN cell IN ({words}) THEN NULL ELSE cell END"""


def _spellings(word: str) -> Iterator[str]:
    """A word in small and capital letters, with up to two blanks around it."""
    for text in {word, word.upper(), word.capitalize(), word.title(), _MIXED.get(word, word)}:
        for before, after in product(_BLANKS, repeat=2):
            yield before + text + after
