"""How a setting is declared."""

from typing import Any

from pydantic import Field


def setting(section: str, default: Any, description: str, **bounds: Any) -> Any:
    """One setting: its task, its default, its meaning, and pydantic's bounds (`ge`, `gt`...)."""
    return Field(default, description=description, json_schema_extra={"section": section}, **bounds)
