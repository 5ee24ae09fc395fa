"""Warm start: a run's holdout model goes on from that of an earlier run.

The rows of the earlier model are found again by their ids.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cofi_jobs.core.factors import Factors
from cofi_jobs.core.scale import Scale, scale_of
from cofi_jobs.settings.renames import current_names
from cofi_jobs.settings.schema import section


@dataclass(frozen=True)
class Start:
    """First factors of both models, those of the rating model in stars; none of it for events."""

    rating: Factors | None
    ranking: Factors


def carry_over(fresh: Factors, earlier: Factors, users: np.ndarray, items: np.ndarray) -> Factors:
    """First factors of this run's rows: the earlier ones where there are any, else `fresh` ones.

    `users` (n_users,) and `items` (n_items,) hold each row's number in `earlier`, or -1 for a row
    that takes its fresh factors.
    """

    def rows(new: np.ndarray, old: np.ndarray, number: np.ndarray) -> np.ndarray:
        result = new.copy()
        result[number >= 0] = old[number[number >= 0]]
        return result

    return Factors(
        rows(fresh.X, earlier.X, items),
        rows(fresh.W, earlier.W, users),
        rows(fresh.b, earlier.b, users),
        earlier.prior,
    )


def difference(now: dict[str, Any], scale: Scale | None, manifest: dict[str, Any]) -> str | None:
    """Why an earlier run's holdout model is no start: one sentence, or None if it is one.

    It is none if that run minimised another J or had other test ratings. To be safe, any other
    value of a setting of train counts: a cold start costs only time. `now` are this run's settings,
    those of train and `damping`; `manifest` is the earlier run's.
    """
    before = current_names(manifest.get("settings", {}))
    names = [
        name
        for name in now
        if name == "damping" or (section(name) == "train" and name != "warm_start")
    ]
    for name in names:
        if name not in before or before[name] != now[name]:
            return f"{name} is {now[name]}, there it was {before.get(name, 'no setting')}"
    if scale_of(manifest["scale"]) != scale:
        return f"the scale is {tuple(scale or ())}, there it was {tuple(manifest['scale'] or ())}"
    return None
