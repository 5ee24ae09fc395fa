"""How good the lists are for users with few and with many ratings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.report import plots
from cofi_jobs.report.drawing import Plot
from cofi_jobs.report.night import NAMES, Night
from cofi_jobs.report.plots import Dot
from cofi_jobs.report.section import Section
from cofi_jobs.store.status import measure_names
from cofi_jobs.tasks.evaluate import RANKINGS

FEW_RATINGS = 20  # users with up to so many known ratings are shown number by number


def activity_section(night: Night) -> Section:
    """How good the lists are for users with few and with many ratings."""
    assert night.evaluation is not None
    metrics = night.evaluation["metrics"]
    ndcg = measure_names(metrics)["ndcg"]
    users = pq.read_table(
        night.file("evaluation", "users.parquet"),
        columns=["n_known", "n_held_out", *(f"{model}_ndcg" for model in RANKINGS)],
    )
    known, measured = users["n_known"].to_numpy(), users["n_held_out"].to_numpy() > 0
    section = Section("activity", "Users with few and with many ratings")
    section.notes.append(
        "Users in three groups of about the same size, by how many of their ratings the trial model knew. A user with "
        "few ratings should get a list no worse than the popular items."
    )
    of = metrics["by_activity"]
    labels = [
        f"{g['ratings']}: {g['from']:,} to {g['to']:,}\nratings,\n{g['users']:,} users" for g in of
    ]

    def dot(model: str, group: Mapping[str, Any]) -> Dot | None:
        if group[model][ndcg] is None:
            return None
        own = measured & (known >= group["from"]) & (known <= group["to"])
        margin = _margin(users[f"{model}_ndcg"].to_numpy()[own])
        value = group[model][ndcg]
        return Dot(
            group["ratings"],
            value,
            None if margin is None else value - margin,
            value + (margin or 0),
        )

    series = {NAMES[model]: [dot(model, group) for group in of] for model in RANKINGS}
    if any(any(found) for found in series.values()):
        section.plots.append(
            plots.groups(
                f"{ndcg.upper()} by how much users have rated, against popularity and item-kNN",
                labels,
                series,
                f"{ndcg.upper()} (0 to 1)",
                "users by number of known ratings",
                "Bars: 95 % intervals of the mean over users.",
            )
        )
    section.plots += _few_ratings(users, known, ndcg)
    return section


def _margin(values: np.ndarray) -> float | None:
    """Half the 95 % interval of a mean, 1.96 standard errors; None of fewer than two values."""
    values = values[np.isfinite(values)]
    return float(1.96 * values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def _few_ratings(users: pa.Table, known: np.ndarray, ndcg: str) -> list[Plot]:
    """NDCG and number of users by the exact number of known ratings, where there are users with so few."""
    few = (known >= 1) & (known <= FEW_RATINGS) & np.isfinite(users["ranking_ndcg"].to_numpy())
    if not few.any():
        return []
    counts = np.bincount(known[few], minlength=FEW_RATINGS + 1)
    x = np.flatnonzero(counts)
    curves = {}
    for model in RANKINGS:
        values = users[f"{model}_ndcg"].to_numpy()
        curves[NAMES[model]] = (
            x,
            np.bincount(known[few], np.nan_to_num(values[few]), FEW_RATINGS + 1)[x] / counts[x],
        )
    return [
        plots.lines(
            f"{ndcg.upper()} of users with up to {FEW_RATINGS} known ratings, number by number",
            curves,
            "known ratings of a user",
            f"{ndcg.upper()} (0 to 1, mean over users)",
            "Compare with the number of users beside it: few users say little.",
        ),
        plots.columns(
            f"How many measured users have up to {FEW_RATINGS} known ratings",
            x.astype(float),
            1.0,
            {"users": counts[x]},
            "known ratings of a user",
            "users",
        ),
    ]
