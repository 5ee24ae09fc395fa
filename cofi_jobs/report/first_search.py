"""The settings that the first run of a store found, and what it tried."""

from typing import Any

import pandas as pd

from cofi_jobs.evaluation.metrics import lower_is_better
from cofi_jobs.report.reported_run import ReportedRun
from cofi_jobs.report.section import Section, Table
from cofi_jobs.settings.schema import in_words


def search_section(run: ReportedRun) -> Section:
    """What was tried for each model, in order, and what the best of it gained."""
    search = run.outcomes["train"]["first_search"]
    notes = [
        "This run was the store's first. Before it learned, it looked for settings that fit the "
        "ratings. Trials learn and are measured on train ratings alone.",
        *(_gain(name, change) for name, change in search["measures"].items()),
    ]
    if not search["settings"]:
        notes.append("The settings stayed as they were.")
    tables = [
        Table(f"Trials for the {model} model", _trials(trials))
        for model, trials in search["tried"].items()
    ]
    return Section("search", "Settings for these ratings", notes, tables=tables)


def _gain(name: str, change: dict[str, Any]) -> str:
    better = "lower" if lower_is_better(name) else "higher"
    return (
        f"On the test ratings {name} is {change['after']:.4f} with the settings found and "
        f"{change['before']:.4f} without them; {better} is better."
    )


def _trials(trials: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "changed settings": in_words(trial["settings"]) or "none",
                "measure": "learning failed" if (v := trial["value"]) is None else f"{v:.4f}",
                "seconds": f"{trial['seconds']:.1f}",
            }
            for trial in trials
        ]
    )
