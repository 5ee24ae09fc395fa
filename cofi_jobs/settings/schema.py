"""What values a setting may have, as JSON schema and in words."""

import functools
import math
from collections.abc import Mapping
from typing import Any

from cofi_jobs.settings.fields import Settings


def section(name: str) -> str:
    """The task that a setting belongs to, or "machine"."""
    return _properties()[name]["section"]


def bounds(name: str) -> tuple[float, float]:
    """Least and greatest value that a number may have."""
    field = schema(name)
    least = field.get("minimum", field.get("exclusiveMinimum", -math.inf))
    return least, field.get("maximum", math.inf)


def schema(name: str) -> dict[str, Any]:
    """JSON schema of a setting, without its default; a number or null has two types."""
    field = _properties()[name]
    merged = {
        key: value for key, value in field.items() if key not in ("title", "default", "anyOf")
    }
    for option in field.get("anyOf", []):
        merged |= {**option, "type": [*merged.get("type", []), option["type"]]}
    return merged


def allowed(name: str) -> str:
    """What values a setting may have, in words: "integer, at least 1, at most 1024"."""
    field = schema(name)
    if "enum" in field:
        return "one of " + ", ".join(field["enum"])
    if "pattern" in field:
        return "numbers separated by commas, or empty"
    types = [field["type"]] if isinstance(field["type"], str) else field["type"]
    text = " or ".join("empty" if kind == "null" else kind for kind in types)
    for key, words in (
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
    ):
        if key in field:
            text += f", {words} {field[key]:g}"
    return text


def in_words(values: Mapping[str, float]) -> str:
    """Values of settings: "ranking_alpha 60, n_factors 32"."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


@functools.cache  # made once: the DAG's file asks for every setting each time it is parsed
def _properties() -> dict[str, dict[str, Any]]:
    return Settings.model_json_schema()["properties"]
