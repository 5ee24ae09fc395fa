"""How good the lists are for users with few and with many ratings."""

import math
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from cofi_jobs.core.feedback import Feedback
from cofi_jobs.evaluation.baselines import RANKINGS
from cofi_jobs.evaluation.intervals import FEWEST_USERS, NORMAL, widening
from cofi_jobs.report import plots
from cofi_jobs.report.drawing import Plot
from cofi_jobs.report.plots import Dot
from cofi_jobs.report.reported_run import NAMES, ReportedRun
from cofi_jobs.report.section import Section
from cofi_jobs.store import sql
from cofi_jobs.store.status import measure_names

FEW_RATINGS = 20  # users with up to so many train ratings are shown number by number
FEWEST_NUMBERS = 4  # of these numbers: fewer make no curve
# In SQL. Exact decimals: the order of adding must not show.
TOTAL = "coalesce(sum(({})::DECIMAL(18, 12)), 0)::DOUBLE"


def activity_section(run: ReportedRun) -> Section:
    """How good the lists are for users with few and with many ratings."""
    assert run.evaluation is not None
    metrics = run.evaluation["metrics"]
    ndcg, groups = measure_names(metrics)["ndcg"], metrics["by_activity"]
    with sql.connect(run.settings, run.store.table(run.key, "")) as connection:
        sums = sums_by_number(connection, run.file("evaluation", "users.parquet"))
    section = Section("activity", f"Users with few and with many {run.feedback}")
    section.notes.append(
        f"Users in three groups of about the same size, by how many of their {run.feedback} the "
        f"holdout model learned from. A user with few {run.feedback} should get a list no worse "
        "than the popular items."
    )
    dots = {
        NAMES[model]: [_dot(model, group, ndcg, sums) for group in groups] for model in RANKINGS
    }
    judged = [place for place, dot in enumerate(dots[NAMES["ranking"]]) if dot]
    if len(judged) >= 2:
        kept = {name: [of_model[place] for place in judged] for name, of_model in dots.items()}
        plot = _by_group([groups[place] for place in judged], kept, ndcg, run.feedback)
        section.plots.append(plot)
    if few := [group["ratings"] for place, group in enumerate(groups) if place not in judged]:
        section.notes.append(
            f"Too few users to say how good the lists are with {' and '.join(few)} {run.feedback}: "
            f"fewer than {FEWEST_USERS} of them could be measured."
        )
    section.plots += _few_ratings(sums, ndcg, run.feedback)
    return section


def sums_by_number(connection: duckdb.DuckDBPyConnection, users: Path) -> pd.DataFrame:
    """Sums over users with test ratings, by how many of their ratings the holdout model knew.

    Of each model the number of users who have an NDCG (`_n`), the sum of it (`_sum`), and that of
    its squares (`_squares`).
    """
    sums = [
        f"{function} AS {model}_{name}"
        for model in RANKINGS
        for name, function in (
            ("n", f"count({model}_ndcg)"),
            ("sum", TOTAL.format(f"{model}_ndcg")),
            ("squares", TOTAL.format(f"{model}_ndcg::DOUBLE ** 2")),
        )
    ]
    return connection.execute(
        f"SELECT n_known, {', '.join(sums)} FROM {sql.parquet([users])} WHERE n_held_out > 0 "
        "GROUP BY n_known ORDER BY n_known"
    ).df()


def _by_group(
    groups: list[dict[str, Any]], dots: dict[str, list[Dot | None]], ndcg: str, feedback: Feedback
) -> Plot:
    labels = [
        f"{g['ratings']}: {g['from']:,} to {g['to']:,} {feedback}, {g['users']:,} users"
        for g in groups
    ]
    measured = "much users have rated" if feedback == "ratings" else "many events users have"
    return plots.groups(
        f"{ndcg.upper()} by how {measured}, against popularity and item-kNN",
        labels,
        dots,
        f"{ndcg.upper()} (0 to 1)",
        f"users by number of train {feedback}",
        "Bars: 95 % intervals of the mean over users.",
    )


def _dot(model: str, group: dict[str, Any], ndcg: str, sums: pd.DataFrame) -> Dot | None:
    """A model's mean over a group of users, with its 95 % interval by Student's t.

    None of fewer than `FEWEST_USERS` users: their mean says nothing.
    """
    mean = group[model][ndcg]
    if mean is None:
        return None
    in_group = sums[sums["n_known"].between(group["from"], group["to"])]
    n, total, squares = (in_group[f"{model}_{name}"].sum() for name in ("n", "sum", "squares"))
    if n < FEWEST_USERS:
        return None
    deviation = math.sqrt(max(squares / n - (total / n) ** 2, 0))
    margin = widening(n) * NORMAL * deviation / math.sqrt(n)
    return Dot(group["ratings"], mean, mean - margin, mean + margin)


def _few_ratings(sums: pd.DataFrame, ndcg: str, feedback: Feedback) -> list[Plot]:
    """NDCG and number of users by the exact number of train ratings, where users have so few.

    Only numbers of ratings that enough users have, and nothing where these are few.
    """
    has_enough = sums["n_known"].between(1, FEW_RATINGS) & (sums["ranking_n"] >= FEWEST_USERS)
    few = sums[has_enough]
    if len(few) < FEWEST_NUMBERS:
        return []
    numbers, n_users = few["n_known"].to_numpy(int), few["ranking_n"].to_numpy(int)
    means = {
        NAMES[model]: (numbers, few[f"{model}_sum"].to_numpy() / n_users) for model in RANKINGS
    }
    return [
        plots.lines(
            f"{ndcg.upper()} of users with up to {FEW_RATINGS} train {feedback}, number by number",
            means,
            f"train {feedback} of a user",
            f"{ndcg.upper()} (0 to 1, mean over users)",
            f"Only numbers of {feedback} that at least {FEWEST_USERS} users have.",
        ),
        plots.columns(
            f"How many measured users have up to {FEW_RATINGS} train {feedback}",
            numbers.astype(float),
            1.0,
            {"users": n_users},
            f"train {feedback} of a user",
            "users",
        ),
    ]
