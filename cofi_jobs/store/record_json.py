"""The JSON of records, checked when it is read.

A record that is no JSON, or not what its kind must be (record_kinds.py), is an error that names the
file, what was found, what was expected, and what to do. Fields that this version does not know stay
as they are: a newer version may have written them.
"""

import json
from typing import Any, NoReturn

from pydantic import ValidationError

from cofi_jobs.core.errors import StoreError, cut
from cofi_jobs.store.record_kinds import kind_of

MOST_SHOWN = 60  # characters of what was found


class Record(dict[str, Any]):
    """An object in a record. Asked for a field that is not there, it says in which file."""

    def __init__(self, fields: dict[str, Any], shown: str, advice: str) -> None:
        super().__init__(fields)
        self.shown, self.advice = shown, advice

    def __missing__(self, field: str) -> NoReturn:
        raise StoreError(f"{self.shown}: found no field {field!r}, expected one; {self.advice}")


def parse(content: bytes, name: str, location: str) -> Record:
    """The record `name`, as in layout.py, of the store at `location`.

    Raises StoreError as above.
    """
    kind, shown = kind_of(name), f"{location}/{name}"
    try:
        record = json.loads(
            content.decode(), object_hook=lambda fields: Record(fields, shown, kind.advice)
        )
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{shown} is not valid JSON: {error}; {kind.advice}") from None
    if not isinstance(record, Record):
        raise StoreError(f"{shown}: found {_shown(record)}, expected an object; {kind.advice}")
    try:
        kind.shape.validate_python(record)
    except ValidationError as error:
        raise StoreError(f"{shown}: {_flaw(error)}; {kind.advice}") from None
    return record


def _flaw(error: ValidationError) -> str:
    """Where in a record pydantic found something wrong, what, and what it expected."""
    first = error.errors(include_url=False)[0]
    place, message = ".".join(map(str, first["loc"])), first["msg"]
    place = f"in {_printable(place)}: " if place else ""
    if first["type"] == "missing":
        return f"{place}found no such field, expected one"
    subject, _, rule = message.replace("a valid dictionary", "an object").partition(" should ")
    if not rule:  # of a check of ours
        expected = f"another value: {message.removeprefix('Value error, ')}"
    else:
        expected = (
            rule.removeprefix("be ") if subject == "Input" else f"{subject.lower()} to {rule}"
        )
    return f"{place}found {_shown(first['input'])}, expected {expected}"


def _shown(value: Any) -> str:
    return cut(_printable(json.dumps(value, ensure_ascii=False, default=str)), MOST_SHOWN)


def _printable(text: str) -> str:
    """A text with escapes for half characters, which JSON may have and no terminal takes."""
    return text.encode("utf-8", "backslashreplace").decode()
