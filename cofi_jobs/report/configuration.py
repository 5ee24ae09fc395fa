"""The settings that a run was made with."""

from typing import Any

from cofi_jobs.report.night import Night
from cofi_jobs.report.section import Section, Table
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.fields import section as task_of
from cofi_jobs.settings.renames import current_names


def settings_section(night: Night) -> Section:
    """Every setting that the run was made with."""
    section = Section("settings", "Settings")
    used = {**night.settings.model_dump(), **_used(night)}
    defaults = Settings.model_construct().model_dump()
    rows: dict[str, list[tuple[str, ...]]] = {}
    for name, value in used.items():
        changed = "changed" if value != defaults.get(name) else ""
        meaning = str(Settings.model_fields[name].description)
        rows.setdefault(task_of(name), []).append(
            (name, "empty" if value is None else str(value), changed, meaning)
        )
    section.tables = [
        Table(task, ("setting", "value", "", "meaning"), found) for task, found in rows.items()
    ]
    return section


def _used(night: Night) -> dict[str, Any]:
    """Of each task's settings what that task ran with, where it has ended well."""
    used = {}
    for name in Settings.model_fields:
        own = current_names(night.outcomes.get(task_of(name), {}).get("settings", {}))
        if name in own:
            used[name] = own[name]
    return used
