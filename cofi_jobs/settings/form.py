"""The settings as fields of Airflow's trigger form, and what somebody filled in there."""

import difflib
import logging
import re
from collections.abc import Collection, Mapping
from typing import Any

from cofi_jobs.core.errors import SettingsError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.renames import RENAMED, current_names_warned
from cofi_jobs.settings.resolve import from_environment, load_settings, validated
from cofi_jobs.settings.schema import allowed, schema

log = logging.getLogger(__name__)

ALIKE = 0.8  # similarity from which one name counts as another one misspelt, 0 to 1


def form_fields() -> dict[str, dict[str, Any]]:
    """For each setting its default here, JSON schema, description and section.

    The description ends with what is allowed: the form does not show bounds by itself.
    """
    fields = {}
    for name, default in load_settings().model_dump().items():
        field = schema(name)
        text = f"{field['description']} [{allowed(name)}]"
        fields[name] = {**field, "default": default, "description": text}
    return fields


def explicit_values(conf: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that somebody set in the configuration of an Airflow run.

    `defaults` has the fields of the DAG's form. The form sends them all, most of them as they were:
    if all are in `conf`, those that differ from their defaults count. The API sends only what
    the caller set: there each value counts, even one that is equal to its default. Raises
    SettingsError for a value that is not allowed: Airflow checks those of the form alone.
    """
    explicit = {
        name: value
        for name, value in current_names_warned(conf, "configuration of the run").items()
        if name in Settings.model_fields
    }
    validated(from_environment() | explicit)
    if defaults.keys() <= conf.keys():
        return {n: v for n, v in explicit.items() if n not in defaults or v != defaults[n]}
    return explicit


def check_names(conf: Mapping[str, Any], params: Collection[str]) -> None:
    """Raise SettingsError for a name in a run's configuration that looks like a misspelt one.

    Airflow accepts any name. One that is neither a setting nor among `params` may serve others,
    such as a note on who asked for the run. The log says that nothing here uses it. It says the
    same of a setting of another DAG.
    """
    names = {*params, *Settings.model_fields, *RENAMED}
    for name in sorted(conf.keys() - names):
        simple = re.sub(r"\W", "_", name.lower()).removeprefix("cofi_")
        if meant := difflib.get_close_matches(simple, names, n=1, cutoff=ALIKE):
            raise SettingsError(
                f"configuration of the run: unknown setting {name!r}; did you mean {meant[0]}?"
            )
        log.info("configuration of the run: %r is no setting, nothing here uses it", name)
    for name in sorted(conf.keys() & {*Settings.model_fields, *RENAMED}):
        if RENAMED.get(name, name) not in params:
            log.warning("configuration of the run: no task of this DAG uses the setting %s", name)
