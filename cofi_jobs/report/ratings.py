"""Ratings as users gave them, and as the model predicts them."""

from collections.abc import Sequence

import duckdb
import numpy as np

from cofi_jobs.core.factors import Factors, predict
from cofi_jobs.report import plots
from cofi_jobs.report.examples import spread
from cofi_jobs.report.lists import counts, tables_of
from cofi_jobs.report.reported_run import FEW_USERS, ReportedRun
from cofi_jobs.report.section import Section
from cofi_jobs.store import parquet, sql
from cofi_jobs.store.vectors import from_column

SAMPLE = 100_000  # pairs of which stars are predicted
SAMPLED_USERS, MOST_READ = 2000, 200  # of these pairs; row groups of users that are read for them
MOST_BINS = 41  # around single ratings; else N_BINS over the scale
N_BINS = 25


def distribution_section(run: ReportedRun) -> Section:
    """Ratings as given, and as predicted."""
    section = Section("ratings", "Ratings, given and predicted")
    if run.has_few_users:
        section.notes.append(FEW_USERS)
        return section
    low, high = run.scale
    with sql.connect(run.settings, run.store.table(run.key, "")) as connection:
        given = sql.parquet([run.file("normalized", "ratings.parquet")])
        # More different ratings than there could be bins around them need not be known.
        some = f"SELECT DISTINCT rating FROM {given} LIMIT {MOST_BINS + 2}"
        edges = bins(connection.execute(some).fetchnumpy()["rating"], low, high)
        shown = {"given ratings": in_bins(connection, [given], "rating", edges)}
        if "train" in run.outcomes:
            predicted = np.histogram(_predicted(run), edges)[0]
            shown["predicted, users and items at random"] = predicted
        if "recommend" in run.outcomes:
            lists = tables_of(run.lists)
            listed = in_bins(connection, lists, "predicted_rating", edges)
            shown["predicted, in users' lists"] = listed
    section.plots.append(
        plots.columns(
            "Ratings as users gave them, and as the model predicts them",
            (edges[1:] + edges[:-1]) / 2,
            edges[1] - edges[0],
            {name: 100 * n / max(n.sum(), 1) for name, n in shown.items()},
            f"rating ({low:g} to {high:g})",
            "share (%)",
            "What is recommended should lie to the right of what is predicted at random.",
        )
    )
    return section


def bins(ratings: np.ndarray, low: float, high: float) -> np.ndarray:
    """Edges of equal bins: around each rating if ratings are few and evenly spaced, else 25."""
    values = np.unique(ratings.astype(float))
    step = np.diff(values).min() if len(values) > 1 else high - low
    n = round((high - low) / step) if step > 0 else 0
    places = (values - low) / step if step > 0 else values
    if 1 <= n <= MOST_BINS and np.allclose(places, np.round(places), atol=1e-3):
        return low + (np.arange(n + 2) - 0.5) * step
    return np.linspace(low, high, N_BINS + 1)


def in_bins(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[str], column: str, edges: np.ndarray
) -> np.ndarray:
    """How many ratings some tables have in each bin; the last has its upper edge, too."""
    step, last = edges[1] - edges[0], len(edges) - 2
    place = f"least({last}, floor(({column} - {edges[0]}) / {step}))::INTEGER"
    binned = counts(connection, tables, place)
    return binned.reindex(range(last + 1), fill_value=0).to_numpy(float)


def _predicted(run: ReportedRun) -> np.ndarray:
    """Stars that the final model predicts for users and items drawn at random, clipped."""
    rng = np.random.default_rng(0)
    items = parquet.read_table(
        run.file("model", "item_factors.parquet"), columns=["rating_factors", "mean"]
    )
    file = parquet.open_file(run.file("model", "user_factors.parquet"))
    W, b = [], []
    blocks = spread(file.num_row_groups, MOST_READ)
    for number in blocks:
        block = file.read_row_group(number, columns=["rating_factors", "bias"])
        rows = rng.integers(len(block), size=-(-SAMPLED_USERS // len(blocks)))
        W.append(from_column(block["rating_factors"])[rows])
        b.append(block["bias"].to_numpy()[rows])
    factors = Factors(from_column(items["rating_factors"]), np.concatenate(W), np.concatenate(b))
    user, item = rng.integers(len(factors.W), size=SAMPLE), rng.integers(len(items), size=SAMPLE)
    return run.scale.clip(predict(factors, user, item) + items["mean"].to_numpy()[item])
