"""Settings that were renamed. Their old names are still understood."""

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

RENAMED = {
    "n_features": "n_factors",
    "batch_size": "ratings_per_step",
    "max_refused": "max_rejected",
    "held_out_share": "test_share",
    "held_out_days": "test_days",
}


def current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values under the names of today. Where both names are given, the new name counts."""
    named = {RENAMED[name]: value for name, value in values.items() if name in RENAMED}
    return named | {name: value for name, value in values.items() if name not in RENAMED}


def current_names_warned(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """`current_names` of what a person wrote, with a warning for each old name in it."""
    for name in RENAMED.keys() & values.keys():
        log.warning("%s: the setting %s is now called %s", source, name, RENAMED[name])
    return current_names(values)


def with_old_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under their names of today and, where renamed, also under the old name.

    The manifest is written so: its readers may know the old names only.
    """
    old = {name: values[new] for name, new in RENAMED.items() if new in values}
    return {**values, **old}
