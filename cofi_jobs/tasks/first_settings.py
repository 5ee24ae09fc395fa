"""The first run of a store finds settings that fit the ratings before it learns.

They go to `settings.json`, as those that tuning finds: later runs use them, and tuning goes on from
there. The trials see no test rating of the run. With those it is checked that the settings found
are no worse than those in use.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cofi_jobs.core.errors import DataError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.tuning_parts import read_parts
from cofi_jobs.tuning.comparison import Change, compare, is_same
from cofi_jobs.tuning.first_search import LEAST_GAIN, FirstSearch
from cofi_jobs.tuning.parts import Part
from cofi_jobs.tuning.space import ModelName

log = logging.getLogger(__name__)

FOR_TRIALS = 0.75  # of the time: the comparison at the end takes the rest
SHARES: dict[ModelName, float] = {"ranking": 0.75, "rating": 0.25}  # of the time for trials
LEAST_USERS = 50  # with test ratings; fewer say nothing about settings
# Ratings from which and up to which a search has its full time: beyond, learning takes minutes.
FULL_TIME_FROM, FULL_TIME_TO = 1_000_000, 20_000_000
MOST_RATINGS = 2_000_000  # of a search
LEAST_SECONDS = 30.0


def find_first_settings(store: Store, settings: Settings, run_key: str) -> None:
    """Search for settings and write `settings.json`, if the store has none and should use one."""
    if not settings.first_tuning_minutes or not settings.use_tuned:
        return
    if store.records.tuned() is not None:
        return
    measurable = measurable_parts(store, settings, run_key)
    if not measurable:
        return
    validation, whole = measurable
    chosen, searches = settings, list[FirstSearch]()
    n_ratings = store.required_outcome(run_key, "normalize")["n_ratings"]
    seconds = FOR_TRIALS * search_seconds(settings.first_tuning_minutes, n_ratings)
    for model in validation.models:
        search = FirstSearch(model, validation, chosen, seconds * SHARES[model])
        chosen = chosen.with_tuned(search.run())
        searches.append(search)
    values = {
        name: value
        for name, value in chosen.model_dump().items()
        if value != getattr(settings, name)
    }
    changed = [m for m in whole.models if not is_same(m, settings, chosen, whole.scale)]
    changes = compare(whole, settings, chosen, changed, n_seeds=1)
    objection = why_not(changes, {s.measure_name: LEAST_GAIN[s.model] for s in searches})
    if objection:
        log.info("the settings stay as they are: %s", objection)
    record: dict[str, Any] = {
        "run_key": run_key,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "measures": {name: change.to_record() for name, change in changes.items()},
        "tried": {s.model: [trial.to_record() for trial in s.trials] for s in searches},
    }
    store.records.write_tuned({"settings": {} if objection else values, **record})


def measurable_parts(store: Store, settings: Settings, run_key: str) -> tuple[Part, Part] | None:
    """The parts to search and to judge on; None, with the reason in the log, if there are few."""
    try:
        validation, whole = read_parts(store, _with_fewer_users(store, settings, run_key), run_key)
    except DataError as error:  # too little for any search
        log.info("the settings stay as they are: %s", error)
        return None
    n_users = validation.n_measured
    if n_users < LEAST_USERS:
        log.info(
            "the settings stay as they are: found %d users to measure others on, expected %d",
            n_users, LEAST_USERS,
        )  # fmt: skip
        return None
    return validation, whole


def _with_fewer_users(store: Store, settings: Settings, run_key: str) -> Settings:
    """The settings with so few `tune_users` that these have about MOST_RATINGS."""
    sizes = store.required_outcome(run_key, "normalize")
    n_users = max(LEAST_USERS, MOST_RATINGS * sizes["n_users"] // sizes["n_ratings"])
    return settings.model_copy(update={"tune_users": min(settings.tune_users, n_users)})


def search_seconds(minutes: float, n_ratings: int) -> float:
    """How long a store with so many ratings searches; `minutes` is the setting."""
    share = min(1.0, n_ratings / FULL_TIME_FROM, FULL_TIME_TO / n_ratings)
    return max(LEAST_SECONDS, 60 * minutes * share)


def why_not(changes: Mapping[str, Change], least_gains: Mapping[str, float]) -> str | None:
    """Why the settings found are not used; None if they are.

    `changes` are those of the measures on the test ratings; `least_gains` are by what share the
    measures that were searched for must be better.
    """
    worse = [name for name, change in changes.items() if change.worse]
    if worse:
        return f"with those found {' and '.join(worse)} is worse"
    if not any(changes[name].gain >= gain for name, gain in least_gains.items() if name in changes):
        return "those found gain too little"
    return None


def first_search(store: Store, run_key: str) -> dict[str, Any] | None:
    """What this run found and tried; None if it did not search, or tuning has been here since."""
    record = store.records.tuned()
    if not record or record.get("run_key") != run_key or "tried" not in record:
        return None
    return {name: record[name] for name in ("settings", "measures", "tried")}
