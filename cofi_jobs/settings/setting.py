"""How a setting is declared."""

from typing import Any

from pydantic import Field


def setting(
    section: str, default: Any, description: str, multiline: bool = False, **bounds: Any
) -> Any:
    """One setting: its task, its default, its meaning, and pydantic's bounds (`ge`, `gt`...).

    A text that is `multiline` gets a field of several lines in Airflow's form.
    """
    extra: dict[str, Any] = {"section": section}
    if multiline:
        extra["format"] = "multiline"
    return Field(default, description=description, json_schema_extra=extra, **bounds)
