"""Warm start: a night's trial model goes on from that of an earlier night, whose rows are found again by their ids."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cofi_jobs.core.factors import Factors, initial_factors
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.holdout_model import kept_trial, learned_from, row_numbers
from cofi_jobs.settings.fields import Settings, section
from cofi_jobs.store.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """First factors of both models, in the source's units."""

    rating: Factors
    ranking: Factors


def carry_over(fresh: Factors, earlier: Factors, users: np.ndarray, items: np.ndarray) -> Factors:
    """First factors of today's rows: the earlier ones where there are any, `fresh` ones elsewhere.

    `users` (n_users,) and `items` (n_items,) hold each row's number in `earlier`, -1 for a row that starts anew.
    """

    def rows(new: np.ndarray, old: np.ndarray, number: np.ndarray) -> np.ndarray:
        result = new.copy()
        result[number >= 0] = old[number[number >= 0]]
        return result

    return Factors(
        rows(fresh.X, earlier.X, items),
        rows(fresh.W, earlier.W, users),
        rows(fresh.b, earlier.b, users),
    )


def trial_start(
    store: Store,
    settings: Settings,
    run_key: str,
    user_id: pa.Array,
    item_id: pa.Array,
    held_out: Ratings,
) -> tuple[str | None, Start | None]:
    """The run whose trial model today's goes on from, and the first factors that this gives.

    That run is the newest published before `run_key`, so a run that is repeated starts from the same. Both are None,
    with the reason in the log, if there is none, or if it held out other ratings or minimised another J.
    What is held out today must not be seen. So only the earlier *trial* model is used, never the published one, and
    where even that learned from a rating that is held out now (one that was changed since, or came late), its user
    and its item start anew.
    """
    earlier_keys = [key for key in store.published() if key < run_key]
    if not settings.warm_start or not earlier_keys:
        return None, None
    last = earlier_keys[-1]
    scale = Scale(*store.required_outcome(run_key, "ingest")["scale"])
    damping = store.required_outcome(run_key, "normalize")["settings"]["damping"]
    reason = _differs(
        settings.model_dump() | {"damping": damping}, scale, store.manifest(last) or {}
    )
    earlier = None if reason else kept_trial(store, last)
    if not earlier:
        log.info("no warm start from run %s: %s", last, reason or "it kept no trial model")
        return None, None
    users, items = row_numbers(user_id, earlier.user_id), row_numbers(item_id, earlier.item_id)
    saw = learned_from(store, last, earlier, user_id, item_id, held_out)
    users[held_out.user_index[saw]] = -1
    items[held_out.item_index[saw]] = -1
    log.info("going on from the trial model of run %s; new are %d of %d users and %d of %d items",
             last, (users < 0).sum(), len(users), (items < 0).sum(), len(items))  # fmt: skip
    fresh = initial_factors(len(items), len(users), settings.n_features, settings.seed)
    in_units = Factors(fresh.X, fresh.W * np.float32(scale.unit), fresh.b)
    return last, Start(
        carry_over(in_units, earlier.rating, users, items),
        carry_over(fresh, earlier.ranking, users, items),
    )


def _differs(now: dict[str, Any], scale: Scale, manifest: dict[str, Any]) -> str | None:
    """In which way an earlier run minimised another J or held out other ratings; None if it did not.

    That is decided by the settings of train, all of them: one more cold start costs only time.
    """
    before = manifest.get("settings", {})
    names = [
        name
        for name in now
        if name == "damping" or (section(name) == "train" and name != "warm_start")
    ]
    for name in names:
        if name not in before or before[name] != now[name]:
            return f"{name} is {now[name]}, there it was {before.get(name, 'no setting')}"
    if tuple(manifest["scale"]) != scale:
        return f"the scale is {tuple(scale)}, there it was {tuple(manifest['scale'])}"
    return None
