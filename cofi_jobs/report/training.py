"""How training went."""

import pyarrow.compute as pc
import pyarrow.parquet as pq

from cofi_jobs.report import plots
from cofi_jobs.report.night import Night
from cofi_jobs.report.section import Section


def training_section(night: Night) -> Section:
    """Loss curves of both models."""
    section = Section("training", "Training")
    losses = pq.read_table(night.file("training", "losses.parquet"))
    for head, task in (("rating", "predicts stars"), ("ranking", "orders items")):
        own = losses.filter(pc.equal(losses["head"], head))
        curves = {}
        for fit in pc.unique(own["fit"]).to_pylist():
            rows = own.filter(pc.equal(own["fit"], fit))
            name = {
                "held-out": "trial, without the held-out ratings",
                "final": "final, on all ratings",
            }.get(fit, fit)
            curves[name] = (rows["step"].to_numpy(), rows["J"].to_numpy())
        section.plots.append(
            plots.lines(
                f"Cost of the {head} model, which {task}: it should fall, then flatten",
                curves,
                "step of Adam",
                "cost J (no unit)",
                "Each step sees other users, so J is uneven. The final fit has more ratings and starts from the trial.",
            )
        )
    return section
