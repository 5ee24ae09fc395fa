"""Train: learn item factors X and user parameters W, b of both models by minimising J with Adam.

The rating model predicts stars, the ranking model orders items (docs/model.md says why there are
two). Of events there is only the ranking model. Both are fitted twice. First without the test
ratings: that is the holdout model, which evaluate measures. Then to all ratings, from there on
unless it lacks many of the items: that is the model that is used. The holdout model goes on from
that of the run before (`warm_start`). Before all this, the first run of a store looks for settings
that fit its ratings (`first_settings`).

Writes the tables `trial` (the holdout model), `model` and `training` (the losses). Until it has
ended, `checkpoint` holds the states of its fits.
"""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cofi_jobs.core.scale import scale_of
from cofi_jobs.evaluation.split import relevant_from
from cofi_jobs.model.item_means import damped_means
from cofi_jobs.model.models import BothFits, Start, fit_both
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import parquet, schemas
from cofi_jobs.store.store import Store
from cofi_jobs.store.vectors import no_vectors, to_column
from cofi_jobs.tasks.checkpoints import RunCheckpoints
from cofi_jobs.tasks.first_settings import find_first_settings, first_search
from cofi_jobs.tasks.holdout_start import holdout_start
from cofi_jobs.tasks.run_ratings import run_ratings

log = logging.getLogger(__name__)

# The share of the ratings whose items the holdout model has not seen, from which on the final model
# does not go on from it: the few steps would leave these items near their random first factors.
UNSEEN_AT_MOST = 0.04
ROW_GROUP = 1 << 14  # rows: what a reader of one user's or item's factors reads at least


def prepare(store: Store, settings: Settings, run_key: str) -> None:
    """In the first run of a store: find settings that fit its ratings, for this and later runs."""
    find_first_settings(store, settings, run_key)


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Learn from the train ratings, then from all ratings."""
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    damping = store.required_outcome(run_key, "normalize")["settings"]["damping"]
    folder = store.checked_table(run_key, "normalized")
    items = parquet.read_table(folder / "items.parquet", columns=["item_id", "n_ratings", "mean"])
    item_id = items["item_id"].combine_chunks()
    checkpoints = RunCheckpoints(store, run_key, settings.checkpoint_seconds)
    with run_ratings(store, run_key, settings) as ratings:
        train = ratings.counts("train")
        last, start = holdout_start(store, settings, run_key, item_id, ratings)
        n_ratings = items["n_ratings"].to_numpy()
        n_all, n_train = n_ratings.sum(), train.n_ratings
        log.info(
            "holdout model: learning from %d ratings, not from %d test ratings",
            n_train, n_all - n_train,
        )  # fmt: skip
        # The means, too, must not show the test ratings.
        means = damped_means(train.trusted, train.item_sums, damping)
        holdout = fit_both(ratings.learnable("train", means, checkpoints), settings, start)
        counts = pa.array(train.items.astype(np.int32))
        _write_model(store, run_key, "trial", holdout, items.set_column(1, "n_ratings", counts))
        all_ratings = ratings.learnable("all", items["mean"].to_numpy(), checkpoints)
        final = fit_both(all_ratings, settings, _final_start(holdout, train.items, n_ratings))
        _write_model(store, run_key, "model", final, items)
    losses = _losses({"held-out": holdout, "final": final})
    with store.replace_folder(store.table(run_key, "training")) as target:
        parquet.write_table(losses, target / "losses.parquet")
    checkpoints.clear()
    return {
        "liked_from": relevant_from(settings, scale),
        "n_known": int(n_train),
        "n_held_out": int(n_all - n_train),
        "started_from": last,
        "first_search": first_search(store, run_key),
    }


def _final_start(holdout: BothFits, n_train: np.ndarray, n_all: np.ndarray) -> Start | None:
    """Where the final model goes on: at the holdout model, unless that lacks many of the items.

    `n_train`, `n_all`: the number of ratings of each item.
    """
    goes_on = n_all[n_train == 0].sum() <= UNSEEN_AT_MOST * n_all.sum()
    log.info(
        "learning from all %d ratings%s", n_all.sum(),
        "" if goes_on else ", from the start: the holdout model lacks too many of the items",
    )  # fmt: skip
    return holdout.start if goes_on else None


def _write_model(store: Store, run_key: str, table: str, fits: BothFits, items: pa.Table) -> None:
    """Write what both models learned of the items, and of some users after the other."""
    users = parquet.open_file(store.table(run_key, "normalized") / "users.parquet")
    with store.replace_folder(store.table(run_key, table)) as folder, users:
        _write([_item_factors(fits, items)], folder / "item_factors.parquet")
        _write(_user_factors(fits, users), folder / "user_factors.parquet")


def _item_factors(fits: BothFits, items: pa.Table) -> pa.Table:
    ranking = fits.ranking.learned
    n_factors = ranking.X.shape[1]
    if fits.rating:
        X, means = to_column(fits.rating.learned.X), fits.means
    else:
        X, means = no_vectors(len(items), n_factors), pa.nulls(len(items), pa.float32())
    columns = [items["item_id"], X, to_column(ranking.X), means, items["n_ratings"]]
    schema = schemas.item_factors(items["item_id"].type, n_factors)
    return pa.table(columns, schema=schemas.with_prior(schema, ranking.prior))


def _user_factors(fits: BothFits, users: parquet.ParquetFile) -> Iterator[pa.Table]:
    first = 0
    for rating, ranking in fits.rows():
        n, n_factors = ranking.W.shape
        rows = slice(first, first + n)
        user_id = parquet.read_rows(users, ["user_id"], rows)["user_id"]
        if rating:
            W, bias = to_column(rating.W), rating.b
        else:
            W, bias = no_vectors(n, n_factors), pa.nulls(n, pa.float32())
        counts = ranking.counts.astype(np.int32)
        schema = schemas.user_factors(user_id.type, n_factors)
        yield pa.table([user_id, W, to_column(ranking.W), bias, counts], schema=schema)
        first = rows.stop


def _write(tables: Iterable[pa.Table], path: Path) -> None:
    # Without a dictionary: factors hardly ever repeat, and searching for those that do takes as
    # long as all the rest.
    parquet.write_tables(tables, path, ROW_GROUP, "snappy", use_dictionary=False)


def _losses(fits: dict[str, BothFits]) -> pa.Table:
    rows = [
        {
            "fit": name,
            "head": model_name,
            "step": step + 1,
            "J": J,
            "J_fixed_users": result.fixed_losses.get(step),
        }
        for name, both in fits.items()
        for model_name, result in (("rating", both.rating), ("ranking", both.ranking))
        if result
        for step, J in enumerate(result.losses)
    ]
    return pa.Table.from_pylist(rows)
