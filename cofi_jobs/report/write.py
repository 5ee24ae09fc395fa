"""Make the sections that a run has the tables for, and write the page."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cofi_jobs.core.errors import DamageError
from cofi_jobs.report.activity import activity_section
from cofi_jobs.report.configuration import settings_section
from cofi_jobs.report.coverage import coverage_section
from cofi_jobs.report.durations import durations_section
from cofi_jobs.report.examples import items_section, people_section
from cofi_jobs.report.intake import input_section
from cofi_jobs.report.item_map import map_section
from cofi_jobs.report.page import render
from cofi_jobs.report.quality import gate_section, quality_section
from cofi_jobs.report.ratings import distribution_section
from cofi_jobs.report.recent import recent_section
from cofi_jobs.report.reported_run import ReportedRun, read_run
from cofi_jobs.report.section import Section
from cofi_jobs.report.training import training_section
from cofi_jobs.report.tuning import tuning_section, was_tuned
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """A section of the page, and what must be there to make it."""

    make: Callable[[ReportedRun], Section]
    task: str | None = None  # that must have succeeded
    tuned: bool = False  # whether it must use settings that a search found
    evaluated: bool = False  # whether the run must have been evaluated, refused or not
    rated: bool = False  # whether the store must have ratings, not events

    def can_be_made(self, run: ReportedRun) -> bool:
        """Whether the run has what the section shows."""
        return (
            (self.task is None or self.task in run.outcomes)
            and (not self.tuned or was_tuned(run.outcomes))
            and (run.evaluation is not None or not self.evaluated)
            and (run.feedback == "ratings" or not self.rated)
        )


PARTS = (
    Part(gate_section, evaluated=True),
    Part(quality_section, evaluated=True),
    Part(recent_section),
    Part(input_section),
    Part(people_section, "recommend"),
    Part(items_section, "similar_items"),
    Part(activity_section, evaluated=True),
    Part(coverage_section, "recommend"),
    Part(map_section, "train"),
    Part(distribution_section, rated=True),
    Part(training_section, "train"),
    Part(tuning_section, "train", tuned=True),
    Part(durations_section),
    Part(settings_section),
)


def write_report(
    store: Store, settings: Settings, run_key: str, tasks: Sequence[str]
) -> dict[str, Any]:
    """Write `report/report.html`; `tasks` are those before the report, in their order.

    A section that cannot be made says so in its place: a plot must not stop a run.
    """
    run = read_run(store, settings, run_key, tasks)
    sections, n_broken = [], 0
    for part in PARTS:
        if not part.can_be_made(run):
            continue
        try:
            sections.append(part.make(run))
        except DamageError:  # what the page showed would be wrong, and so would what readers get
            raise
        except Exception as error:
            log.exception("the section %s of the report could not be made", part.make.__name__)
            n_broken += 1
            sections.append(_broken(part, error))
    page = render(run, sections)
    with store.replace_folder(store.table(run_key, "report")) as folder:
        (folder / "report.html").write_text(page, encoding="utf-8")
    path = store.table(run_key, "report") / "report.html"
    log.info("the report is %s", path)
    return {"path": store.shown(path), "bytes": len(page.encode()), "broken_sections": n_broken}


def _broken(part: Part, error: Exception) -> Section:
    name = part.make.__name__.removesuffix("_section")
    return Section(name, name.capitalize(), [f"This part could not be made: {error!r}"])
