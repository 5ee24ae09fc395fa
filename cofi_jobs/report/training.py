"""How training went."""

import numpy as np
import pandas as pd

from cofi_jobs.read import to_frame
from cofi_jobs.report import plots
from cofi_jobs.report.reported_run import ReportedRun
from cofi_jobs.report.section import Section
from cofi_jobs.store import parquet

FITS = {
    "held-out": "holdout model",
    "final": "final model",
}


def training_section(run: ReportedRun) -> Section:
    """The cost of the rating model and the ranking model, step by step."""
    section = Section("training", "Training")
    losses = to_frame(parquet.read_table(run.file("training", "losses.parquet")))
    for model, task in (("rating", "predicts stars"), ("ranking", "orders items")):
        of_model = losses[losses["head"] == model]
        if of_model.empty:  # events have no rating model
            continue
        fits = course(of_model).groupby("fit", sort=False)
        curves = {
            FITS.get(str(fit), str(fit)): (rows["step"].to_numpy(int), of_first(rows["J"]))
            for fit, rows in fits
        }
        section.plots.append(
            plots.lines(
                f"Cost of the {model} model, which {task}: it should fall, then flatten",
                curves,
                "step of Adam",
                "cost J (% of that of the first step)",
                "J is that of the same users throughout, scaled to all. "
                f"The final model has more {run.feedback} and starts from the holdout model.",
            )
        )
    return section


def of_first(J: pd.Series) -> np.ndarray:
    """The cost in percent of that of the first step: fits to few and many ratings compare."""
    values = J.to_numpy(float)
    return 100 * values / values[0] if len(values) and values[0] else values


def course(losses: pd.DataFrame) -> pd.DataFrame:
    """The losses with J as it is comparable from step to step: that of the fixed users.

    Without them, J of each step: that of all ratings (`exact_users=false`), or in runs of older
    versions that of each step's users.
    """
    if "J_fixed_users" not in losses or losses["J_fixed_users"].isna().all():
        return losses
    return losses.dropna(subset="J_fixed_users").assign(J=losses["J_fixed_users"])
