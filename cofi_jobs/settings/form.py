"""The settings as fields of Airflow's trigger form."""

from typing import Any

from cofi_jobs.settings.fields import allowed, schema
from cofi_jobs.settings.resolve import load_settings


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
