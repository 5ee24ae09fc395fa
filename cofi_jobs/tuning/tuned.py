"""`settings.json` of a store: settings that tuning found, which runs use from then on.

Explicit settings count more: the environment, `--set`, or a value that was changed in the Airflow
form. `train` reads the file. The tasks after it use what `train` read, so that all tasks of a run
agree.
"""

from collections.abc import Mapping
from typing import Any

from cofi_jobs.core.errors import SettingsError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.renames import current_names, current_names_warned
from cofi_jobs.settings.resolve import validated
from cofi_jobs.settings.schema import in_words
from cofi_jobs.store.store import Store
from cofi_jobs.tuning.space import NAMES


def read(store: Store) -> dict[str, Any] | None:
    """The store's tuned settings with where they come from, None if there are none.

    Raises SettingsError, naming the file, the setting, what was found and what is allowed.
    """
    path = store.tuned_file
    content = store.records.tuned()
    if content is None:
        return None
    values = content.get("settings")
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
    """The settings of a task together with the tuned ones, and the record of those that it uses.

    A tuned value is used where the setting is not explicit. The record is the content of
    `settings.json` with the used values alone; None if there are none. `train` reads the file, and
    the tasks after it use what `train` read. Tuning itself decides what it takes from there.
    """
    if task == "train":
        record = read(store) if settings.use_tuned else None
    elif task == "tune":
        record = None
    else:
        record = (store.outcome(run_key, "train") or {}).get("tuned")
    if not record:
        return settings, None
    tuned = current_names(record["settings"])
    values = {name: value for name, value in tuned.items() if name not in settings.explicit}
    if not values:
        return settings, None
    return settings.with_tuned(values), {**record, "settings": values}


def to_outcome(task: str, record: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the outcome of a task keeps of `in_use`: that of `train`, for the tasks after it."""
    return {"tuned": record} if task == "train" else {}


def remark(tuned: Mapping[str, Any] | None) -> str:
    """For the message of a refused run: which tuned settings it used, and how to run without them.

    Empty if it used none.
    """
    if not tuned:
        return ""
    return (
        f". settings.json of the store is in use ({in_words(tuned['settings'])}); "
        "remove it, or set use_tuned=false, to do without"
    )
