"""Where the holdout model of a run goes on from: the holdout model of an earlier run."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa

from cofi_jobs.core.factors import initial_factors, of_items, row_numbers
from cofi_jobs.core.scale import scale_of
from cofi_jobs.model.objectives import to_stars
from cofi_jobs.model.warm_start import Start, carry_over, difference
from cofi_jobs.settings.fields import Settings
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
    earlier_run = _earlier_run(store, settings, run_key)
    if earlier_run is None:
        return None, None
    last, folder = earlier_run
    engine, before = settings.engine, read_item_factors(folder)
    items, items_now = row_numbers(item_id, before.item_id), row_numbers(before.item_id, item_id)
    users = EarlierUsers(files_of(store, run_key, engine), files_of(store, last, engine))
    earlier = EarlierSplit.of(store, last, users.rows, items_now, engine)
    items[ratings.learned_from(earlier, "item")] = -1
    log.info("going on from the holdout model of run %s; new are %d of %d items",
             last, (items < 0).sum(), len(items))  # fmt: skip
    rows = np.empty(0, np.int64)  # of users in the earlier model
    if settings.exact_users:
        rating = None if before.rating is None else of_items(before.rating)
        ranking = of_items(before.ranking, before.prior)
    else:
        rows = users.rows(slice(0, sum(ratings.n_users)))
        rows[ratings.learned_from(earlier, "user")] = -1
        model = read_model(folder)
        rating, ranking = model.rating, model.ranking
    fresh = initial_factors(len(items), len(rows), settings.n_factors, settings.seed)
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    if scale is not None and rating is not None:
        rating = carry_over(to_stars(fresh, scale), rating, rows, items)
    return last, Start(rating, carry_over(fresh, ranking, rows, items))


def _earlier_run(store: Store, settings: Settings, run_key: str) -> tuple[str, Path] | None:
    """The newest run published before this one, and the folder of its holdout model.

    None, with the reason in the log, if this run may not go on from it.
    """
    earlier_keys = store.published_before(run_key)
    if not settings.warm_start or not earlier_keys:
        return None
    last = earlier_keys[-1]
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    damping = store.required_outcome(run_key, "normalize")["settings"]["damping"]
    now = settings.model_dump() | {"damping": damping}
    reason = difference(now, scale, store.manifest(last) or {})
    folder = None if reason else holdout_folder(store, last)
    if not folder:
        log.info("no warm start from run %s: %s", last, reason or "it kept no holdout model")
        return None
    return last, folder
