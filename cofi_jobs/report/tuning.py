"""The settings that a search found, what it tried, and what they gained."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cofi_jobs.report import plots
from cofi_jobs.report.drawing import Plot
from cofi_jobs.report.plots import Dot
from cofi_jobs.report.reported_run import ReportedRun, measure_label
from cofi_jobs.report.section import Section, Table
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.schema import in_words

MOST_TRIALS = 8  # of a model, the best first; the others are folded


def tuning_section(run: ReportedRun) -> Section:
    """What tuning, or the search of the store's first run, found and gained; what it tried."""
    train = run.outcomes["train"]
    search, tuned = train.get("first_search"), train.get("tuned")
    record: dict[str, Any] = search or tuned or {}
    section = Section("tuning", "Settings for these ratings")
    section.notes += _found(search, tuned)
    section.plots += gains(record.get("measures", {}))
    if record.get("settings"):
        section.tables.append(_settings(record["settings"]))
    for model, trials in (record.get("tried") or {}).items():
        section.tables += _tried(model, trials)
    return section


def was_tuned(outcomes: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the run uses settings that a search found, or has searched itself."""
    train = outcomes["train"]
    return bool(train.get("first_search") or train.get("tuned"))


def _found(search: Mapping[str, Any] | None, tuned: Mapping[str, Any] | None) -> list[str]:
    if not search:
        assert tuned is not None
        date = str(tuned.get("time", ""))[:10]
        return [f"Found on {date}, with the ratings of run {tuned.get('run_key', '?')}."]
    notes = [
        "This run was the store's first. Before it learned, it looked for settings that fit the "
        "ratings. Trials learn and are measured on train ratings alone."
    ]
    return notes if search["settings"] else [*notes, "The settings stayed as they were."]


def gains(measures: Mapping[str, Mapping[str, Any]]) -> list[Plot]:
    """By how many percent each measure is better with the settings found, with its interval."""
    dots = [gain(name, change) for name, change in measures.items() if change["before"]]
    if not dots:
        return []
    return [
        plots.dots(
            "What the settings found gained on test ratings: right of 0 is better",
            dots,
            "gain (% of the value before)",
            "measure: before and after",
            "Whiskers: 95 % intervals over users. Grey where the interval includes 0.",
            zero=True,
        )
    ]


def gain(name: str, change: Mapping[str, Any]) -> Dot:
    """A measure's gain in percent; positive is better."""
    sign = -1 if change["better"] == "lower" else 1
    scale = 100 * sign / abs(change["before"])
    label = f"{measure_label(name)}: {change['before']:.4f} → {change['after']:.4f}"
    value = scale * change["difference"]
    if change.get("low") is None:
        return Dot(label, value)
    low, high = sorted((scale * change["low"], scale * change["high"]))
    return Dot(label, value, low, high)


def _settings(found: Mapping[str, Any]) -> Table:
    defaults = Settings.model_construct().model_dump()
    rows = [
        {"setting": name, "found": f"{value:.4g}", "default": f"{defaults.get(name, np.nan):.4g}"}
        for name, value in found.items()
    ]
    return Table("Settings found", pd.DataFrame(rows), numbers=("found", "default"))


def _tried(model: str, trials: list[dict[str, Any]]) -> list[Table]:
    """The trials of a model in their order, folded where there are many."""
    rows = [
        {
            "changed settings": in_words(trial["settings"]) or "none",
            "measure": "learning failed" if (v := trial["value"]) is None else f"{v:.4f}",
            "seconds": f"{trial['seconds']:.1f}",
        }
        for trial in trials
    ]
    if not rows:
        return []
    title = f"Trials for the {model} model: {len(rows)}"
    frame, numbers = pd.DataFrame(rows), ("measure", "seconds")
    return [Table(title, frame, is_folded=len(rows) > MOST_TRIALS, numbers=numbers)]
