"""What came in and what was refused."""

from cofi_jobs.report import plots
from cofi_jobs.report.drawing import short
from cofi_jobs.report.night import NIGHTS, Night, night_label, parquet_below
from cofi_jobs.report.section import Section, Table
from cofi_jobs.store import sql


def input_section(night: Night) -> Section:
    """What came in and what was refused."""
    took = night.outcomes["ingest"]
    keys = night.store.batches(night.key)[-NIGHTS:]
    batches = [night.store.required_outcome(key, "ingest") for key in keys]
    section = Section("input", "What came in and what was refused")
    section.notes.append(
        f"{took['rows_read']:,} rows read, {took['rows_taken']:,} taken, {took['rows_refused']:,} refused. The model "
        f"learns from {night.outcomes['normalize']['n_ratings']:,} current ratings."
    )
    section.plots.append(
        plots.nights(
            "New ratings taken and refused, night by night",
            [night_label(key) for key in keys],
            {
                "taken": [b["rows_taken"] for b in batches],
                "refused": [b["rows_refused"] for b in batches],
            },
            "rows (logarithmic)",
            "A night without a point had none.",
            log=True,
        )
    )
    if took["reasons"]:
        reasons = sorted(took["reasons"].items(), key=lambda pair: -pair[1])[:12]
        section.plots.append(
            plots.bars(
                "Why rows were refused tonight",
                [reason for reason, _ in reasons],
                [n for _, n in reasons],
                "rows refused",
                "reason",
            )
        )
    if took["files"]:
        files = sorted(took["files"], key=lambda file: -file["rows_read"])
        rest = f", the largest 12 of {len(files)}" if len(files) > 12 else ""
        section.tables.append(
            Table(
                f"Files of this run{rest}",
                ("file", "rows read", "taken", "refused"),
                [
                    (
                        f["name"],
                        *(f"{f[key]:,}" for key in ("rows_read", "rows_taken", "rows_refused")),
                    )
                    for f in files[:12]
                ],
            )
        )
    if took["rows_refused"]:
        with sql.connect(night.settings, night.store.rejected(night.key).parent) as connection:
            parts = parquet_below(night.store.rejected(night.key))
            rows = connection.execute(
                f"SELECT file, row, reason, raw FROM read_parquet({parts}) ORDER BY file, row LIMIT 8"
            ).fetchall()
        section.tables.append(
            Table(
                f"The first of {took['rows_refused']:,} refused rows",
                ("file", "row", "reason", "as it was"),
                [tuple(short(str(cell), 80) for cell in row) for row in rows],
            )
        )
    return section
