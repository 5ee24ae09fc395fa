"""The settings that a run was made with."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from cofi_jobs.report.nights import Night, day_of
from cofi_jobs.report.reported_run import ReportedRun
from cofi_jobs.report.section import Section, Table
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.renames import current_names
from cofi_jobs.settings.schema import section as task_of
from cofi_jobs.store.run_keys import run_time


def settings_section(run: ReportedRun) -> Section:
    """The settings that differ, then every setting that the run was made with, task by task."""
    defaults = Settings.model_construct().model_dump()
    before = settings_of(run.earlier_night)
    rows = pd.DataFrame(
        [
            {
                "task": task_of(name),
                "setting": name,
                "value": shown(value := used(run.outcomes, name, getattr(run.settings, name))),
                "before": shown(before.get(name, value)),
                "default": shown(defaults.get(name)),
                "differs": value != defaults.get(name) or value != before.get(name, value),
                "meaning": str(field.description),
            }
            for name, field in Settings.model_fields.items()
        ]
    )
    section = Section("settings", "Settings", tables=_differing(run, rows[rows["differs"]]))
    section.tables += [
        Table(f"All of {task}", of_task[["setting", "value", "default", "meaning"]], is_folded=True)
        for task, of_task in rows.groupby("task", sort=False)
    ]
    return section


def _differing(run: ReportedRun, rows: pd.DataFrame) -> list[Table]:
    columns = ["task", "setting", "value", "before", "default", "meaning"]
    if run.earlier is None:
        columns.remove("before")
        title = "Settings that differ from their defaults"
    else:
        day = day_of(run.earlier, run_time(run.key))
        title = f"Settings that differ from their defaults or from {day}"
        rows = rows.rename(columns={"before": day})
        columns[columns.index("before")] = day
    if rows.empty:
        return []
    return [Table(title, rows[columns])]


def settings_of(night: Night | None) -> dict[str, Any]:
    """What a run was made with; empty where nothing is known of it."""
    if night is None:
        return {}
    names = Settings.model_fields
    values = {name: used(night.outcomes, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def used(outcomes: Mapping[str, Mapping[str, Any]], name: str, otherwise: Any) -> Any:
    """What the setting's task ran with if it succeeded, else `otherwise`."""
    recorded = current_names(outcomes.get(task_of(name), {}).get("settings", {}))
    return recorded.get(name, otherwise)


def shown(value: Any) -> str:
    """A value as the table has it."""
    return "empty" if value is None else str(value)
