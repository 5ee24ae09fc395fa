"""`settings.json` of a store: settings that tuning found, which the nightly run uses unless told otherwise.

What is told counts more: the environment, `--set`, or a value that was changed in the Airflow form. `train` reads the
file; the tasks after it go by what `train` read, so that all tasks of a run agree.
"""

from collections.abc import Mapping
from typing import Any

from cofi_jobs.core.errors import SettingsError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.renames import current_names, current_names_warned
from cofi_jobs.settings.resolve import validated
from cofi_jobs.store.store import Store

# By head, in order: how far tuning looks from the value in use, week by week further. "times": from a share of it to a
# multiple; "plus": that much to either side. The ranking model goes first and chooses what both share.
SPACE: dict[str, dict[str, tuple[str, float]]] = {
    "ranking": {
        "n_factors": ("times", 2),
        "recency": ("plus", 0.5),
        "ranking_alpha": ("times", 3),
        "ranking_lambda": ("times", 3),
        "ranking_nu": ("plus", 0.3),
        "ranking_learning_rate": ("times", 2),
    },
    "rating": {
        "rating_lambda": ("times", 3),
        "rating_nu": ("plus", 0.3),
        "rating_bias_lambda": ("times", 3),
        "rating_learning_rate": ("times", 2),
    },
}
NAMES = tuple(name for space in SPACE.values() for name in space)


def read(store: Store) -> dict[str, Any] | None:
    """The store's tuned settings with where they come from, None if there are none.

    Raises SettingsError, naming the file, the setting, what was found and what is allowed.
    """
    path = store.tuned_file
    content = store.records.tuned()
    if content is None:
        return None
    values = content.get("settings") if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise SettingsError(
            f'{path}: found no object "settings", expected {{"settings": {{"<name>": <value>}}}}'
        )
    values = current_names_warned(values, str(path))
    for name in values:
        if name not in NAMES:
            raise SettingsError(
                f"{path}: found {name!r}, allowed are the settings {', '.join(NAMES)}"
            )
    try:
        checked = validated(values)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return {**content, "settings": {name: getattr(checked, name) for name in values}}


def in_use(
    store: Store, settings: Settings, run_key: str, task: str
) -> tuple[Settings, dict[str, Any] | None]:
    """The settings of a task with those of `settings.json` that nobody told; and the file's content, these only.

    None instead of the content if nothing is taken from there. `train` reads the file, and what comes after it in the
    run goes by what `train` read. Tuning decides itself.
    """
    if task == "train":
        found = read(store) if settings.use_tuned else None
    else:
        found = None if task == "tune" else (store.outcome(run_key, "train") or {}).get("tuned")
    tuned = current_names((found or {}).get("settings", {}))
    values = {name: value for name, value in tuned.items() if name not in settings.explicit}
    if not values:
        return settings, None
    return settings.with_tuned(values), {**(found or {}), "settings": values}


def remark(tuned: Mapping[str, Any] | None) -> str:
    """For the message of a refused night: which settings came from the file, and how to do without. May be empty."""
    if not tuned:
        return ""
    values = ", ".join(f"{name} {value:.4g}" for name, value in tuned["settings"].items())
    return f". settings.json of the store is in use ({values}); remove it, or set use_tuned=false, to do without"
