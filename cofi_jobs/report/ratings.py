"""Ratings as users gave them, and as the model predicts them."""

import numpy as np
import pyarrow.parquet as pq

from cofi_jobs.core.factors import Factors, predict
from cofi_jobs.report import plots
from cofi_jobs.report.night import Night, parquet_below
from cofi_jobs.report.section import Section
from cofi_jobs.store import sql
from cofi_jobs.store.vectors import from_column

SAMPLE = 100_000  # pairs of which stars are predicted


def distribution_section(night: Night) -> Section:
    """Ratings as given, and as predicted."""
    low, high = night.scale
    section = Section("ratings", "Ratings, given and predicted")
    with sql.connect(night.settings, night.store.table(night.key, "")) as connection:
        given = connection.execute(
            f"SELECT rating, count(*) AS n FROM {sql.file(night.file('normalized', 'ratings.parquet'))} GROUP BY rating"
        ).fetchnumpy()
        edges = bins(given["rating"], low, high)
        counts = {"given ratings": np.histogram(given["rating"], edges, weights=given["n"])[0]}
        if "train" in night.outcomes:
            counts["predicted, users and items at random"] = np.histogram(_predicted(night), edges)[
                0
            ]
        if "recommend" in night.outcomes:
            step, last = edges[1] - edges[0], len(edges) - 2
            lists = parquet_below(night.store.table(night.key, "recommendations"))
            places = connection.execute(
                f"SELECT least({last}, floor((predicted_rating - {edges[0]}) / {step}))::INTEGER AS place, "
                f"count(*) AS n FROM read_parquet({lists}) GROUP BY place"
            ).fetchnumpy()
            recommended = np.zeros(len(edges) - 1)
            recommended[places["place"]] = places["n"]
            counts["predicted, in users' lists"] = recommended
    shares = {name: 100 * n / max(n.sum(), 1) for name, n in counts.items()}
    section.plots.append(
        plots.columns(
            "Ratings as users gave them, and as the model predicts them",
            (edges[1:] + edges[:-1]) / 2,
            edges[1] - edges[0],
            shares,
            f"rating ({low:g} to {high:g})",
            "share (%)",
            "What is recommended should lie to the right of what is predicted at random.",
        )
    )
    return section


def bins(ratings: np.ndarray, low: float, high: float) -> np.ndarray:
    """Edges of equal bins: around each given rating if these are few and evenly spaced, else 25 over the scale."""
    values = np.unique(ratings.astype(float))
    step = np.diff(values).min() if len(values) > 1 else high - low
    n = round((high - low) / step) if step > 0 else 0
    if 1 <= n <= 41 and np.allclose(
        (values - low) / step, np.round((values - low) / step), atol=1e-3
    ):
        return low + (np.arange(n + 2) - 0.5) * step
    return np.linspace(low, high, 26)


def _predicted(night: Night) -> np.ndarray:
    """Stars that the final model predicts for users and items drawn at random, clipped to the scale."""
    rng = np.random.default_rng(0)
    items = pq.read_table(
        night.file("model", "item_factors.parquet"), columns=["rating_factors", "mean"]
    )
    file = pq.ParquetFile(night.file("model", "user_factors.parquet"))
    W, b = [], []
    for number in range(file.num_row_groups):  # a block of users at a time
        block = file.read_row_group(number, columns=["rating_factors", "bias"])
        row = rng.integers(len(block), size=-(-2000 // file.num_row_groups))
        W.append(from_column(block["rating_factors"])[row])
        b.append(block["bias"].to_numpy()[row])
    factors = Factors(from_column(items["rating_factors"]), np.concatenate(W), np.concatenate(b))
    user, item = rng.integers(len(factors.W), size=SAMPLE), rng.integers(len(items), size=SAMPLE)
    return night.scale.clip(predict(factors, user, item) + items["mean"].to_numpy()[item])
