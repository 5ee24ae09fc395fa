"""How the value of a setting is found: default < tuned < environment < explicit override.

The tuned values of a store come in later, in the task that uses them (`Settings.with_tuned`).
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from cofi_jobs.core.credentials import VARIABLES
from cofi_jobs.core.errors import SettingsError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.renames import RENAMED, current_names, current_names_warned
from cofi_jobs.settings.schema import allowed

PREFIX = "COFI_"
# Variables with the prefix that are not settings of a run: where the store, databases and a cluster
# are and how to log in there, train's pool and the DAG's deadline, whether errors show a traceback,
# which users to erase, how a store in a bucket is worked on, where sources may be, who may read the
# store.
NOT_SETTINGS = {
    *("COFI_STORE", *VARIABLES),
    *("COFI_TRAIN_POOL", "COFI_DEADLINE_MINUTES", "COFI_TRACEBACK", "COFI_ERASE"),
    *("COFI_CACHE", "COFI_LEASE_SECONDS", "COFI_SOURCE_ROOTS", "COFI_UMASK"),
}


def load_settings(overrides: Iterable[str] = ()) -> Settings:
    """The settings from the environment, with `overrides` of the form "name=value" on top.

    Raises SettingsError, naming the setting, the value found and what is allowed.
    """
    return validated(from_environment() | _parsed(overrides))


def from_environment() -> dict[str, str]:
    """The settings that variables COFI_<NAME> set. Raises SettingsError for an unknown one."""
    names = [*Settings.model_fields, *RENAMED]
    variables = {PREFIX + name.upper(): name for name in names}
    values = {}
    for variable in sorted(os.environ):
        if variable in variables:
            values[variables[variable]] = os.environ[variable]
        elif variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            known = variables.keys() | NOT_SETTINGS
            raise SettingsError(
                f"unknown environment variable {variable}{_did_you_mean(variable, known)}"
            )
    return current_names_warned(values, "environment (COFI_<NAME>)")


def named(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Settings by their current names. Raises SettingsError for a name that is no setting."""
    for name in values:
        if name not in Settings.model_fields and name not in RENAMED:
            raise SettingsError(
                f"unknown setting {name!r}{_did_you_mean(name, Settings.model_fields)}"
            )
    return current_names_warned(values, source)


def validated(values: Mapping[str, Any]) -> Settings:
    """Settings with exactly these values set. Raises SettingsError as `load_settings` does."""
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(e) for e in error.errors())) from None


def from_record(values: Mapping[str, Any]) -> Settings:
    """The settings that a run was made with, from its records alone.

    Settings that no longer exist are left out. Raises SettingsError as `load_settings` does.
    """
    known = current_names(values)
    return validated({name: known[name] for name in Settings.model_fields if name in known})


def to_environment(values: Mapping[str, Any]) -> dict[str, str]:
    """Settings as environment variables for a child process."""
    return {
        PREFIX + name.upper(): "null" if value is None else str(value)
        for name, value in values.items()
        if name in Settings.model_fields
    }


def _parsed(overrides: Iterable[str]) -> dict[str, str]:
    values = {}
    for text in overrides:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"found {text!r}, expected a setting as name=value")
        values[name] = value
    return named(values, "--set")


def _explain(error: Any) -> str:
    if not error["loc"]:
        return str(error["ctx"]["error"])
    name = error["loc"][0]
    found = "nothing" if error["input"] is None else repr(error["input"])
    return f"setting {name}: found {found}, allowed is: {allowed(name)}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return (
        f"; did you mean {close[0]}?" if close else f"; the settings are {', '.join(sorted(known))}"
    )
