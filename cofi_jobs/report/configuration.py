"""The settings that a run was made with."""

import pandas as pd

from cofi_jobs.report.reported_run import ReportedRun
from cofi_jobs.report.section import Section, Table
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.renames import current_names
from cofi_jobs.settings.schema import section as task_of


def settings_section(run: ReportedRun) -> Section:
    """Every setting that the run was made with: a table for each task."""
    defaults = Settings.model_construct().model_dump()
    settings = pd.DataFrame(
        [
            {
                "task": task_of(name),
                "setting": name,
                "value": "empty" if (value := _used(run, name)) is None else str(value),
                "": "changed" if value != defaults.get(name) else "",
                "meaning": str(field.description),
            }
            for name, field in Settings.model_fields.items()
        ]
    )
    tables = [
        Table(str(task), rows.drop(columns="task"))
        for task, rows in settings.groupby("task", sort=False)
    ]
    return Section("settings", "Settings", tables=tables)


def _used(run: ReportedRun, name: str) -> object:
    """What the setting's task ran with if it succeeded, else what the report was given."""
    recorded = current_names(run.outcomes.get(task_of(name), {}).get("settings", {}))
    return recorded[name] if name in recorded else getattr(run.settings, name)
