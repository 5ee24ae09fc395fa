"""Where the holdout model of a run goes on from: the holdout model of an earlier run."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa

from cofi_jobs.core.factors import Factors, initial_factors, of_items, row_numbers
from cofi_jobs.core.scale import scale_of
from cofi_jobs.model.objectives import to_stars
from cofi_jobs.model.warm_start import Start, carry_over, difference
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import parquet
from cofi_jobs.store.run_tables import read_item_factors, read_model
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout import holdout_folder
from cofi_jobs.tasks.run_ratings import RunRatings
from cofi_jobs.tasks.run_split import EarlierSplit, EarlierUsers, files_of

log = logging.getLogger(__name__)


def holdout_start(
    store: Store, settings: Settings, run_key: str, item_id: pa.Array, ratings: RunRatings
) -> tuple[str | None, Start | None]:
    """The run whose holdout model this run's goes on from, and the first factors that this gives.

    That run is the newest published before `run_key`, so a repeated run starts from the same. Both
    are None, with the reason in the log, if there is no such run, or if it had other test ratings
    or minimised another J. `item_id` (n_items,) and `ratings` are those of this run.

    The test ratings must not be seen. So only the earlier *holdout* model is used, never the
    published one. Where even that model learned from a rating that is a test rating now (the rating
    was changed since, or came late), its user and its item start from fresh factors.
    """
    last = _earlier_run(store, settings, run_key)
    if last is None:
        return None, None
    folder, engine = store.checked_table(last, "trial"), settings.engine
    item_id_before = parquet.read_table(folder / "item_factors.parquet", columns=["item_id"])
    items = row_numbers(item_id, item_id_before["item_id"].combine_chunks())
    items_now = row_numbers(item_id_before["item_id"].combine_chunks(), item_id)
    users = EarlierUsers(files_of(store, run_key, engine), files_of(store, last, engine))
    earlier = EarlierSplit.of(store, last, users.rows, items_now, engine)
    items[ratings.learned_from(earlier, "item")] = -1
    log.info("going on from the holdout model of run %s; new are %d of %d items",
             last, (items < 0).sum(), len(items))  # fmt: skip
    rows = np.empty(0, np.int64)  # of users in the earlier model
    if not settings.exact_users:
        rows = users.rows(slice(0, ratings.counts("all").n_users))
        rows[ratings.learned_from(earlier, "user")] = -1
    rating, ranking = _factors(folder, settings.exact_users)
    fresh = initial_factors(len(items), len(rows), settings.n_factors, settings.seed)
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    if scale is not None and rating is not None:
        rating = carry_over(to_stars(fresh, scale), rating, rows, items)
    return last, Start(rating, carry_over(fresh, ranking, rows, items))


def _factors(folder: Path, exact_users: bool) -> tuple[Factors | None, Factors]:
    """Factors of the rating model and the ranking model; with exact users those of items alone."""
    if not exact_users:
        model = read_model(folder)
        return model.rating, model.ranking
    items = read_item_factors(folder)
    rating = None if items.rating is None else of_items(items.rating)
    return rating, of_items(items.ranking, items.prior)


def _earlier_run(store: Store, settings: Settings, run_key: str) -> str | None:
    """The newest run published before this one, if this run may go on from its holdout model."""
    earlier_keys = store.published_before(run_key)
    if not settings.warm_start or not earlier_keys:
        return None
    last = earlier_keys[-1]
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    damping = store.required_outcome(run_key, "normalize")["settings"]["damping"]
    now = settings.model_dump() | {"damping": damping}
    reason = difference(now, scale, store.manifest(last) or {})
    if not reason and not holdout_folder(store, last):
        reason = "it kept no holdout model"
    if reason:
        log.info("no warm start from run %s: %s", last, reason)
        return None
    return last
