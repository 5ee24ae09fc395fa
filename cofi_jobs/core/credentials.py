"""Connections, with secrets, that the process of a task gets in its environment."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cofi_jobs.core.errors import SettingsError

OPTIONS = "COFI_STORE_OPTIONS"  # JSON, in the environment of a child process
DATABASE = "COFI_DATABASE"  # address of the database that `deliver` writes into
SOURCE_DATABASE = "COFI_SOURCE_DATABASE"  # address of the database that `ingest` reads from
# JSON, options of the file system that `ingest` reads source_files from.
SOURCE_FILES = "COFI_SOURCE_FILES_OPTIONS"
# JSON: `address` of the Ray cluster, and the `token` that it asks for, if it does.
RAY_CLUSTER = "COFI_RAY_CLUSTER"
VARIABLES = {OPTIONS, DATABASE, SOURCE_DATABASE, SOURCE_FILES, RAY_CLUSTER}
CONNECTION = "connection:"  # and the id of an Airflow connection: where a store or a cluster is
SECRET = re.compile(r"pass|secret|token|key|credential|connection_string|sas|auth", re.IGNORECASE)


def options(variable: str, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Options in a variable, as of fsspec's file systems. Raises SettingsError."""
    try:
        return dict(json.loads(environment.get(variable) or "{}"))
    except (TypeError, ValueError):
        raise SettingsError(
            f"{variable} holds no JSON object; it is not shown, for it may hold a password"
        ) from None


def secrets_in_environment(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """All secrets in an environment, for `hide`. Raises SettingsError as `options` does."""
    addresses = [environment[name] for name in (DATABASE, SOURCE_DATABASE) if environment.get(name)]
    return {
        "database_secrets": [secret for address in addresses for secret in _in_address(address)],
        **{
            variable.lower(): options(variable, environment)
            for variable in (OPTIONS, SOURCE_FILES, RAY_CLUSTER)
        },
    }


def hide(text: str, options: Mapping[str, Any]) -> str:
    """The text with every credential among the options replaced by ***."""
    for secret in sorted(set(_secrets(options)), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _in_address(address: str) -> Iterator[str]:
    """The address itself, and its password and other secrets as they stand in it and decoded."""
    yield address
    try:
        parts = urlsplit(address)
    except ValueError:
        return
    password = parts.netloc.rpartition("@")[0].partition(":")[2]
    yield from (password, unquote(password))
    yield from (value for name, value in parse_qsl(parts.query) if SECRET.search(name))


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
