"""How long each task took and how much memory it needed, tonight and over the last runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cofi_jobs.report.nights import Night, trend
from cofi_jobs.report.reported_run import ReportedRun
from cofi_jobs.report.section import Section
from cofi_jobs.report.template import fill
from cofi_jobs.report.words import in_words, megabytes

MEMORY = "peak_memory_mb"


@dataclass(frozen=True)
class Duration:
    """A task's time and memory; places are in percent."""

    task: str
    seconds: str
    before: str  # of the run before in which the task succeeded
    share: float  # of the longest task
    trend: Sequence[tuple[float, float]]
    memory: str
    memory_trend: Sequence[tuple[float, float]]


def durations_section(run: ReportedRun) -> Section:
    """Time and memory of each task."""
    section = Section("time", "Time and memory")
    rows = durations(run.nights)
    total = in_words(run.nights[-1].seconds)
    section.notes.append(
        f"The tasks up to here took {total}. Lines: the last {len(run.nights)} runs."
        if len(run.nights) > 1
        else f"The tasks up to here took {total}."
    )
    columns = {
        "has_before": any(row.before for row in rows),
        "has_trend": any(row.trend for row in rows),
        "has_memory": any(row.memory for row in rows),
        "has_memory_trend": any(row.memory_trend for row in rows),
    }
    section.parts.append(Markup(fill("durations.html", rows=rows, **columns)))
    return section


def durations(nights: Sequence[Night]) -> list[Duration]:
    """The tasks of the last of these runs, in their order."""
    outcomes = nights[-1].outcomes
    longest = max((outcome["seconds"] for outcome in outcomes.values()), default=0.0) or 1.0
    rows = []
    for task, outcome in outcomes.items():
        earlier = [
            seconds
            for night in nights[:-1]
            if (seconds := night.recorded(task, "seconds")) is not None
        ]
        rows.append(
            Duration(
                task,
                in_words(outcome["seconds"]),
                in_words(earlier[-1]) if earlier else "",
                round(100 * outcome["seconds"] / longest, 1),
                trend([night.recorded(task, "seconds") for night in nights]),
                megabytes(outcome.get(MEMORY)),
                trend([night.recorded(task, MEMORY) for night in nights]),
            )
        )
    return rows
