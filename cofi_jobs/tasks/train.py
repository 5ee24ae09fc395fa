"""Train: learn item features X and user parameters W, b of both models by minimising J with Adam.

The rating model predicts stars, the ranking model orders items (docs/model.md says why there are two). Both are fitted
twice: without the newest ratings, to be measured on those (evaluate does that), and then, going on from there, on
everything, to be used. The first goes on from that of the night before (`warm_start`).
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cofi_jobs.core.arrays import tally
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.split import relevant_from
from cofi_jobs.model.fit import Model, fit_both
from cofi_jobs.model.item_means import item_means
from cofi_jobs.model.warm_start import Start
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import schemas as tables
from cofi_jobs.store.store import Store
from cofi_jobs.store.vectors import to_column
from cofi_jobs.tasks.holdout import holdout_start, read_split

log = logging.getLogger(__name__)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Learn from the known ratings, for evaluate to measure, then from all; write `trial`, `model` and `training`."""
    scale = Scale(*store.required_outcome(run_key, "ingest")["scale"])
    folder = store.table(run_key, "normalized")
    users = pq.read_table(folder / "users.parquet", columns=["user_id", "n_ratings"])
    items = pq.read_table(folder / "items.parquet", columns=["item_id", "n_ratings", "mean"])
    ratings, hidden = read_split(store, run_key, settings)
    known = ratings.where(~hidden)
    log.info("trial: learning from %d ratings, %d are held out", len(known.rating), hidden.sum())
    # What is held out must not show in the means either.
    means = item_means(
        known, damping=store.required_outcome(run_key, "normalize")["settings"]["damping"]
    )
    user_id, item_id = users["user_id"].combine_chunks(), items["item_id"].combine_chunks()
    last, initial = holdout_start(store, settings, run_key, user_id, item_id, ratings.where(hidden))
    trial = fit_both(known, means, settings, scale, initial)
    with store.replace_folder(store.table(run_key, "trial")) as target:
        sides = _counted(users, known.user_index), _counted(items, known.item_index)
        _write_model(trial, *sides, settings.n_factors, target)
    n_known, n_held_out = len(known.rating), int(hidden.sum())
    del known, hidden  # as large as the ratings
    log.info("learning from all %d ratings", len(ratings.rating))
    start = Start(trial.rating.factors, trial.ranking.factors)
    final = fit_both(ratings, items["mean"].to_numpy(), settings, scale, start)
    with store.replace_folder(store.table(run_key, "model")) as target:
        _write_model(final, users, items, settings.n_factors, target)
    with store.replace_folder(store.table(run_key, "training")) as target:
        pq.write_table(_losses({"held-out": trial, "final": final}), target / "losses.parquet")
    return {
        "liked_from": relevant_from(settings, scale),
        "n_known": n_known,
        "n_held_out": n_held_out,
        "started_from": last,
    }


def _counted(side: pa.Table, index: np.ndarray) -> pa.Table:
    """Users or items with their numbers of ratings among those whose row numbers are given."""
    return side.set_column(1, "n_ratings", pa.array(tally(index, len(side)).astype(np.int32)))


def _write_model(
    model: Model, users: pa.Table, items: pa.Table, n_factors: int, folder: Path
) -> None:
    rating, ranking = model.rating.factors, model.ranking.factors
    columns = [
        items["item_id"],
        to_column(rating.X),
        to_column(ranking.X),
        model.means,
        items["n_ratings"],
    ]
    of_items = pa.table(columns, schema=tables.item_factors(items["item_id"].type, n_factors))
    columns = [
        users["user_id"],
        to_column(rating.W),
        to_column(ranking.W),
        rating.b,
        users["n_ratings"],
    ]
    of_users = pa.table(columns, schema=tables.user_factors(users["user_id"].type, n_factors))
    for table, name in ((of_items, "item_factors"), (of_users, "user_factors")):
        # Without a dictionary: factors hardly ever repeat, and looking for those that do takes as long as all the rest.
        pq.write_table(
            table, folder / f"{name}.parquet", row_group_size=1 << 14, use_dictionary=False
        )


def _losses(models: dict[str, Model]) -> pa.Table:
    rows = [
        {"fit": name, "head": head, "step": step, "J": J}
        for name, model in models.items()
        for head, result in (("rating", model.rating), ("ranking", model.ranking))
        for step, J in enumerate(result.losses, start=1)
    ]
    return pa.Table.from_pylist(rows)
