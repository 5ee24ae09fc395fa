"""Missing values: the words by which programs write that a cell has none (setting `missing`).

They count in ids, ratings and times alike, whatever the format. Taken as an id, such a word would
make one user of all rows that have none.
"""

from cofi_jobs.settings.lists import texts
from cofi_jobs.store import sql


def missing_words(setting: str) -> list[str]:
    """The words of the setting, in lower case. The empty cell is always one of them."""
    return sorted({"", *(word.lower() for word in texts(setting))})


def has_numbers(setting: str) -> bool:
    """Whether one of the words looks like a number."""
    return any(word.lstrip("+-.")[:1].isdigit() for word in missing_words(setting))


def macro(setting: str) -> str:
    """A macro of DuckDB, present(cell): the cell's text, NULL if that means a missing value.

    Nearly all cells begin with a digit: unless a word does too, they are passed on at once.
    """
    shortcut = "" if has_numbers(setting) else "WHEN cell >= '0' AND cell < ':' THEN cell"
    words = ", ".join(map(sql.quote, missing_words(setting)))
    return f"""
        CREATE OR REPLACE TEMP MACRO present(cell) AS
        CASE {shortcut} WHEN lower(trim(cell)) IN ({words}) THEN NULL ELSE cell END"""
