"""How training went."""

import pandas as pd
import pyarrow.parquet as pq

from cofi_jobs.read import to_frame
from cofi_jobs.report import plots
from cofi_jobs.report.reported_run import ReportedRun
from cofi_jobs.report.section import Section

FITS = {
    "held-out": "holdout model",
    "final": "final model",
}


def training_section(run: ReportedRun) -> Section:
    """The cost of the rating model and the ranking model, step by step."""
    section = Section("training", "Training")
    losses = to_frame(pq.read_table(run.file("training", "losses.parquet")))
    for model, task in (("rating", "predicts stars"), ("ranking", "orders items")):
        of_model = losses[losses["head"] == model]
        if of_model.empty:  # events have no rating model
            continue
        fits = course(of_model).groupby("fit", sort=False)
        curves = {
            FITS.get(str(fit), str(fit)): (rows["step"].to_numpy(int), rows["J"].to_numpy(float))
            for fit, rows in fits
        }
        section.plots.append(
            plots.lines(
                f"Cost of the {model} model, which {task}: it should fall, then flatten",
                curves,
                "step of Adam",
                "cost J (no unit)",
                "J is that of the same users throughout, scaled to all. "
                f"The final model has more {run.feedback} and starts from the holdout model.",
            )
        )
    return section


def course(losses: pd.DataFrame) -> pd.DataFrame:
    """The losses with J as it is comparable from step to step: that of the fixed users.

    Without them, J of each step: that of all ratings (`exact_users=false`), or in runs of older
    versions that of each step's users.
    """
    if "J_fixed_users" not in losses or losses["J_fixed_users"].isna().all():
        return losses
    return losses.dropna(subset="J_fixed_users").assign(J=losses["J_fixed_users"])
