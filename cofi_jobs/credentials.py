"""Options of the store's file system, credentials among them: in the environment, and nowhere that people look."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cofi_jobs.errors import SettingsError

OPTIONS = "COFI_STORE_OPTIONS"  # JSON, in the environment of a child process
SECRET = re.compile(r"pass|secret|token|key|credential|connection_string|sas|auth", re.IGNORECASE)


def store_options() -> dict[str, Any]:
    """The options that this process was given, as fsspec's file systems take them. Raises SettingsError."""
    try:
        return dict(json.loads(os.environ.get(OPTIONS) or "{}"))
    except (TypeError, ValueError):
        raise SettingsError(f"{OPTIONS} holds no JSON object; it is not shown, for it may hold a password") from None


def hide(text: str, options: Mapping[str, Any]) -> str:
    """The text with every credential among the options replaced by ***."""
    for secret in sorted(set(_secrets(options)), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(value: Any, inside: bool = False) -> Iterator[str]:
    """Texts under names that tell of a secret, line by line, as a log shows them."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _secrets(part, inside or bool(SECRET.search(name)))
    elif isinstance(value, list):
        for part in value:
            yield from _secrets(part, inside)
    elif inside:
        # As Airflow does: a shorter one would be found in half of all words.
        yield from (line for line in str(value).splitlines() if len(line) >= 5)
