"""Make the sections that a run has the tables for, and write the page."""

import logging
from collections.abc import Callable
from typing import Any

from cofi_jobs.report.activity import activity_section
from cofi_jobs.report.configuration import settings_section
from cofi_jobs.report.coverage import coverage_section
from cofi_jobs.report.examples import items_section, people_section
from cofi_jobs.report.intake import input_section
from cofi_jobs.report.item_map import map_section
from cofi_jobs.report.night import Night, read_night
from cofi_jobs.report.page import render
from cofi_jobs.report.quality import quality_section
from cofi_jobs.report.ratings import distribution_section
from cofi_jobs.report.section import Section
from cofi_jobs.report.training import training_section
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)

# What each section needs: the tasks that must have ended well; "measured" stands for an evaluation, refused or not.
SECTIONS: tuple[tuple[Callable[[Night], Section], tuple[str, ...]], ...] = (
    (quality_section, ("measured",)),
    (input_section, ()),
    (activity_section, ("measured",)),
    (people_section, ("recommend",)),
    (items_section, ("similar_items",)),
    (coverage_section, ("recommend",)),
    (map_section, ("train",)),
    (distribution_section, ()),
    (training_section, ("train",)),
    (settings_section, ()),
)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Write `report/report.html`. A section that cannot be made says so in its place: a plot must not stop a night."""
    night = read_night(store, settings, run_key)
    have = {*night.outcomes, *(["measured"] if night.evaluation else [])}
    sections, broken = [], 0
    for make, needs in SECTIONS:
        if not have.issuperset(needs):
            continue
        try:
            sections.append(make(night))
        except Exception as error:
            log.exception("the section %s of the report could not be made", make.__name__)
            broken += 1
            name = make.__name__.removesuffix("_section")
            sections.append(
                Section(name, name.capitalize(), [f"This part could not be made: {error!r}"])
            )
    page = render(night, sections)
    with store.replace_folder(store.table(run_key, "report")) as folder:
        (folder / "report.html").write_text(page, encoding="utf-8")
    path = store.table(run_key, "report") / "report.html"
    log.info("the report is %s", path)
    return {"path": store.shown(path), "bytes": len(page.encode()), "broken_sections": broken}
