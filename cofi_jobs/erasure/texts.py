"""Users' ids in texts: in the strings of records, in messages, in reports."""

import html
import json
import logging
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from cofi_jobs.core.errors import StoreError
from cofi_jobs.erasure.matching import as_folder, as_word
from cofi_jobs.store import files, layout
from cofi_jobs.store.record_json import Record, parse
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

MESSAGES = ("error", "refusals")  # fields of tasks/ and manifests/ that hold sentences
REPORT_FILES = (".html", ".md", ".txt", ".json", ".svg", ".csv")


def strings(path: Path, fields: Collection[str] | None = None) -> Iterator[str]:
    """The strings of a JSON file, of `fields` alone if given; the whole text of any other file.

    Raises UnicodeDecodeError if the file is no text.
    """
    text = html.unescape(path.read_text(encoding="utf-8"))
    try:
        content = json.loads(text) if path.suffix == ".json" else text
    except ValueError:
        content = text
    if isinstance(content, str):
        yield text
        return
    stack = [(content, fields is None)]
    while stack:
        value, is_searched = stack.pop()
        if isinstance(value, dict):
            stack += [(part, is_searched or key in (fields or ())) for key, part in value.items()]
        elif isinstance(value, list):
            stack += [(part, is_searched) for part in value]
        elif isinstance(value, str) and is_searched:
            yield value


def names_in(path: Path, field: str) -> list[str]:
    """Names of the fields within a field of a JSON file, such as the addresses of objects."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return []
    value = content.get(field) if isinstance(content, dict) else None
    return [*value] if isinstance(value, dict) else []


def names_users(path: Path, users: Sequence[str], fields: Collection[str] | None = None) -> bool:
    """Whether a file's text, or a string of a record's `fields`, names one of the users.

    As a word, or as the user's own folder; messages have no names of such folders. The text of a
    JSON file has numbers and names of fields besides its strings.
    """
    patterns = (as_word(users), *(() if fields else (as_folder(users),)))
    texts = strings(path, fields)
    if not fields and path.suffix == ".json":
        texts = chain(texts, [path.read_text(encoding="utf-8")])
    return any(pattern.search(text) for text in texts for pattern in patterns)


def clean_messages(store: Store, users: Sequence[str]) -> None:
    """Remove the users from the sentences in tasks/ and manifests/: errors quote what they saw.

    Files that people put there stay as they are, and the search names those that hold a user.
    """
    manifests = {store.path(layout.manifest(key)) for key in store.run_keys()}
    for path in (*store.path("").glob(layout.ALL_OUTCOMES), *manifests):
        if path.is_file() and (record := _record_with(store, path, users)) is not None:
            files.write_json(path, redact(record, as_word(users)))


def _record_with(store: Store, path: Path, users: Sequence[str]) -> Record | None:
    """The record in a file if its messages name a user; None also for a file that is no record."""
    try:
        if names_users(path, users, MESSAGES):
            return parse(path.read_bytes(), str(path.relative_to(store.root)), store.location)
    except (UnicodeDecodeError, StoreError):
        log.warning("%s is no record, so it was not changed", store.shown(path))
    return None


def redact(value: Any, pattern: re.Pattern[str], is_message: bool = False) -> Any:
    """A record with *** instead of ids in its messages."""
    if isinstance(value, dict):
        return {
            key: redact(part, pattern, is_message or key in MESSAGES) for key, part in value.items()
        }
    if isinstance(value, list):
        return [redact(part, pattern, is_message) for part in value]
    if not (is_message and isinstance(value, str)):
        return value
    while pattern.search(value):  # two ids can share the character between them
        value = pattern.sub(r"\1***\4", value)
    return value


def remove_report(store: Store, run_key: str, users: Sequence[str]) -> bool:
    """Remove the report of a run if it shows a user; returns whether it did."""
    patterns, removed = (as_word(users), as_folder(users)), False
    for path in store.table(run_key, "report").rglob("*"):
        if path.suffix in REPORT_FILES:
            text = html.unescape(path.read_text(encoding="utf-8", errors="replace"))
            if any(pattern.search(text) for pattern in patterns):
                files.remove(path)
                removed = True
    return removed
