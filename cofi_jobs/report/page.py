"""The report's page, from its sections."""

from collections.abc import Sequence

from markupsafe import Markup

from cofi_jobs.report.reported_run import ReportedRun
from cofi_jobs.report.section import Section
from cofi_jobs.report.template import SERVED, fill
from cofi_jobs.report.tiles import tiles
from cofi_jobs.report.verdict import verdict
from cofi_jobs.store.run_keys import run_time


def render(run: ReportedRun, sections: Sequence[Section]) -> str:
    """The page. Its texts are escaped here, those in drawings where they are drawn."""
    return fill(
        "report.html",
        run_key=run.key,
        time=run_time(run.key),
        verdict=verdict(run),
        tiles=tiles(run),
        sections=sections,
        served=Markup(SERVED),
    )
