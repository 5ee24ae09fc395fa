"""What came in and what was rejected."""

from typing import Any

import pandas as pd

from cofi_jobs.read import to_frame
from cofi_jobs.report import plots
from cofi_jobs.report.drawing import Plot, short
from cofi_jobs.report.nights import FEWEST_NIGHTS, MOST_NIGHTS
from cofi_jobs.report.reported_run import ReportedRun, parquet_below, run_label
from cofi_jobs.report.section import Section, Table
from cofi_jobs.store import layout, sql
from cofi_jobs.store.digests import files_in

MOST_ROWS = 12  # of reasons and of files
EXAMPLES = 8  # of rejected rows


def input_section(run: ReportedRun) -> Section:
    """What came in and what was rejected."""
    outcome = run.outcomes["ingest"]
    section = Section("input", "What came in and what was rejected")
    section.notes.append(
        f"{outcome['rows_read']:,} rows read, {outcome['rows_taken']:,} taken, "
        f"{outcome['rows_refused']:,} rejected. The model learns from "
        f"{run.outcomes['normalize']['n_ratings']:,} {run.observations}."
    )
    section.plots += _by_run(run)
    if outcome["reasons"]:
        section.plots.append(_reasons(outcome["reasons"]))
    if outcome["files"]:
        section.tables.append(_files(outcome["files"]))
    if outcome["rows_refused"]:
        section.tables.append(_rejected_rows(run, outcome["rows_refused"]))
    return section


def _by_run(run: ReportedRun) -> list[Plot]:
    """How many came in run by run; the table of runs has the numbers where there are few runs."""
    keys = run.store.batches(run.key)[-MOST_NIGHTS:]
    if len(keys) < FEWEST_NIGHTS:
        return []
    batches = pd.DataFrame([run.store.required_outcome(key, "ingest") for key in keys])
    return [
        plots.runs(
            f"New {run.feedback} taken and rejected, run by run",
            [run_label(key) for key in keys],
            {"taken": batches["rows_taken"].tolist(), "rejected": batches["rows_refused"].tolist()},
            "rows (logarithmic)",
            "A run without a point had none.",
            log=True,
        )
    ]


def _reasons(reasons: dict[str, int]) -> Plot:
    counts = pd.Series(reasons).sort_values(ascending=False, kind="stable").head(MOST_ROWS)
    return plots.bars(
        "Why rows of this run were rejected",
        counts.index.tolist(),
        counts.tolist(),
        "rows rejected",
        "reason",
    )


def _files(files: list[dict[str, Any]]) -> Table:
    columns = {
        "name": "file",
        "rows_read": "rows read",
        "rows_taken": "taken",
        "rows_refused": "rejected",
    }
    frame = pd.DataFrame(files)[list(columns)].rename(columns=columns)
    frame = frame.sort_values("rows read", ascending=False, kind="stable").head(MOST_ROWS)
    for name in ("rows read", "taken", "rejected"):
        frame[name] = frame[name].map("{:,}".format)
    rest = f", the largest {MOST_ROWS} of {len(files)}" if len(files) > MOST_ROWS else ""
    return Table(f"Files of this run{rest}", frame, numbers=("rows read", "taken", "rejected"))


def _rejected_rows(run: ReportedRun, n_rejected: int) -> Table:
    run.store.check(files_in(run.store.records, run.key, layout.rejected(run.key)))
    folder = run.store.rejected(run.key)
    with sql.connect(run.settings, folder.parent) as connection:
        rows = connection.sql(
            f"SELECT file, row, reason, raw FROM {parquet_below(folder)} "
            f"ORDER BY file, row LIMIT {EXAMPLES}"
        ).to_arrow_table()
    # The text of a row is missing where the row was of an erased user.
    frame = to_frame(rows).map(lambda cell: "" if pd.isna(cell) else short(str(cell), 80))
    frame = frame.rename(columns={"raw": "as it was"})
    return Table(f"The first of {n_rejected:,} rejected rows", frame)
