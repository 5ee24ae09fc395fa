"""Errors that a person can act on. A retry repairs none of them, so Airflow does not retry."""

from collections.abc import Mapping
from typing import Any

LONGEST = 2000  # characters of a message: a file can put anything into one


class CofiError(Exception):
    """Base of all of them; the message is one clear sentence, cut if it is too long."""

    def __init__(self, message: str) -> None:
        super().__init__(cut(message))


def cut(text: str, longest: int = LONGEST) -> str:
    """A text without its middle, if it is longer than so many characters."""
    if len(text) <= longest:
        return text
    start = longest * 2 // 3
    return f"{text[:start]} ... {text[len(text) - (longest - start - 5) :]}"


class SettingsError(CofiError):
    """A setting or a run key is unknown or has a value that is not allowed."""


class DataError(CofiError):
    """The input cannot be used; says what was found and what was expected."""


class NoInputError(DataError):
    """There are no ratings yet, and nothing that could be read as ratings."""

    record: Mapping[str, Any] = {"no_input": True}


def renamed(error: DataError, names: Mapping[str, str]) -> DataError:
    """The error with other names in its message, such as an address for the path of a copy."""
    message = str(error)
    for name, shown in names.items():
        message = message.replace(name, shown)
    return type(error)(message)


class TrainingError(CofiError):
    """The numbers went wrong while learning."""


class QualityError(CofiError):
    """The gate refuses to publish the run; carries the evaluation that says why."""

    def __init__(self, message: str, record: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.record = record


class StoreError(CofiError):
    """The store does not hold what the request needs, or holds what may not be rewritten."""


class DamageError(StoreError):
    """A file of the store is not as it was written; says what to do about it."""
