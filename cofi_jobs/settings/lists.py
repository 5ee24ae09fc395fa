"""Settings that are lists: texts or numbers, separated by commas."""

import csv

NUMBER = r" *[+-]?[0-9]{1,9}([.][0-9]{0,9})? *"
NUMBERS = rf"^{NUMBER}(,{NUMBER})*$"  # the pattern of a list of numbers


def texts(value: str | None) -> tuple[str, ...]:
    """The texts of a list. One with a comma in it stands in quotation marks."""
    rows = csv.reader((value or "").splitlines(), skipinitialspace=True)
    return tuple(text.strip() for row in rows for text in row if text.strip())


def numbers(value: str | None) -> tuple[float, ...]:
    """The numbers of a list that fits the pattern NUMBERS."""
    return tuple(float(text) for text in texts(value))
