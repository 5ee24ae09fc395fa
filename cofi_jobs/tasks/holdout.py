"""What train, tune and evaluate must agree on: test ratings, and an earlier holdout model.

A holdout model learns without the test ratings. `train` keeps it in the folder `trial`.
"""

import logging

import numpy as np
import pyarrow as pa

from cofi_jobs.core.factors import StoredModel, initial_factors, row_numbers
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import scale_of
from cofi_jobs.evaluation.split import holdout_mask
from cofi_jobs.model.objectives import to_stars
from cofi_jobs.model.warm_start import Start, carry_over, difference
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.run_tables import (
    has_model,
    read_draws,
    read_model,
    read_ratings,
    read_times,
)
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.run_split import EarlierSplit

log = logging.getLogger(__name__)


def read_split(store: Store, run_key: str, settings: Settings) -> tuple[Ratings, np.ndarray]:
    """All ratings of a run, and the mask of its test ratings by the settings that train had.

    Some users' alone are read by `run_split.read_part`. The same are drawn for all.
    """
    normalized = store.checked_table(run_key, "normalized")
    ratings = read_ratings(normalized)
    time = None if settings.test_days is None else read_times(normalized)
    return ratings, holdout_mask(ratings, time, settings, read_draws(normalized))


def read_holdout_model(store: Store, run_key: str) -> StoredModel | None:
    """The holdout model of a run; None if the run is older than the evaluation of runs."""
    if not store.table(run_key, "trial").exists():
        return None
    folder = store.checked_table(run_key, "trial")
    return read_model(folder) if has_model(folder) else None


def holdout_start(
    store: Store,
    settings: Settings,
    run_key: str,
    user_id: pa.Array,
    item_id: pa.Array,
    test: Ratings,
) -> tuple[str | None, Start | None]:
    """The run whose holdout model this run's goes on from, and the first factors that this gives.

    That run is the newest published before `run_key`, so a repeated run starts from the same. Both
    are None, with the reason in the log, if there is no such run, or if it had other test ratings
    or minimised another J.

    The test ratings must not be seen. So only the earlier *holdout* model is used, never the
    published one. Where even that model learned from a rating that is a test rating now (the rating
    was changed since, or came late), its user and its item start from fresh factors.
    """
    last, earlier = _earlier_model(store, settings, run_key)
    if not last or not earlier:
        return None, None
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    users, items = row_numbers(user_id, earlier.user_id), row_numbers(item_id, earlier.item_id)
    items_now = row_numbers(earlier.item_id, item_id)
    seen = EarlierSplit.of(store, last, users, items_now, "local").learned_from_all(test)
    users[test.user_index[seen]] = -1
    items[test.item_index[seen]] = -1
    log.info("going on from the holdout model of run %s; new are %d of %d users and %d of %d items",
             last, (users < 0).sum(), len(users), (items < 0).sum(), len(items))  # fmt: skip
    fresh = initial_factors(len(items), len(users), settings.n_factors, settings.seed)
    rating = None
    if scale is not None and earlier.rating is not None:
        rating = carry_over(to_stars(fresh, scale), earlier.rating, users, items)
    return last, Start(rating, carry_over(fresh, earlier.ranking, users, items))


def _earlier_model(
    store: Store, settings: Settings, run_key: str
) -> tuple[str, StoredModel] | tuple[None, None]:
    """The newest run published before this one, and its holdout model, if this run may use it."""
    earlier_keys = store.published_before(run_key)
    if not settings.warm_start or not earlier_keys:
        return None, None
    last = earlier_keys[-1]
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    damping = store.required_outcome(run_key, "normalize")["settings"]["damping"]
    now = settings.model_dump() | {"damping": damping}
    reason = difference(now, scale, store.manifest(last) or {})
    earlier = None if reason else read_holdout_model(store, last)
    if not earlier:
        log.info("no warm start from run %s: %s", last, reason or "it kept no holdout model")
        return None, None
    return last, earlier
