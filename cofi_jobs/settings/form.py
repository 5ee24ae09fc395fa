"""The settings as fields of Airflow's trigger form, and what somebody filled in there."""

from collections.abc import Mapping
from typing import Any

from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.renames import current_names_warned
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.settings.schema import allowed, schema


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
    if all are in `conf`, those that differ from their defaults count. The API sends what somebody
    gave: there each one counts, also one that is equal to its default.
    """
    given = {
        name: value
        for name, value in current_names_warned(conf, "configuration of the run").items()
        if name in Settings.model_fields
    }
    if defaults.keys() <= conf.keys():
        return {n: value for n, value in given.items() if n not in defaults or value != defaults[n]}
    return given
