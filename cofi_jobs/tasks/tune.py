"""Tune: search for settings with which both models predict better what their users rate next.

The run's ratings are split into train and test ratings as in `train`, and no trial sees the test
ratings. The trials split the train ratings in the same way once more. Each model has a study of its
own. The ranking model goes first; the rating model, which events do not have, takes over the
settings that both share. At the end the settings in use and the settings found are compared on the
test ratings, and `settings.json` is written if neither model is worse there. docs/model.md says
more.
"""

import functools
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

from cofi_jobs.core.extras import extra
from cofi_jobs.engine.engines import workers_for
from cofi_jobs.engine.workers import Workers
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.trial_worker import trial_worker
from cofi_jobs.tasks.tuning_parts import read_parts
from cofi_jobs.tuning.parts import Part

with extra("tune"):  # all that imports Optuna
    import optuna

    from cofi_jobs.tuning.comparison import Change, compare
    from cofi_jobs.tuning.search import SearchResult, tune_model
    from cofi_jobs.tuning.space import ModelName
    from cofi_jobs.tuning.trials import TrialWorker
    from cofi_jobs.tuning.tuned import in_use

log = logging.getLogger(__name__)

KEPT_STUDIES = 8


def run(store: Store, settings: Settings, run_key: str) -> dict[str, Any]:
    """Tune both models on a run's ratings; write `settings.json` unless a model would become worse.

    The trials begin with what a run would use now. Explicit settings are not tuned.
    """
    explicit = settings.explicit
    settings, earlier = in_use(store, settings, run_key, "train")
    # Everything is read before the first trial: runs go on meanwhile, and may remove this one.
    validation, whole = read_parts(store, settings, run_key)
    log.info(
        "tuning on %d ratings, validated on %d; %d are never seen",
        len(validation.train.rating), len(validation.test.rating), len(whole.test.rating),
    )  # fmt: skip
    chosen, results = settings, dict[ModelName, SearchResult]()
    of_events = validation.scale is None
    with _quietly():
        with _trial_workers(settings, validation) as workers:
            for model in validation.models:
                results[model] = tune_model(
                    store.studies, model, chosen, explicit, run_key, workers, of_events
                )
                chosen = chosen.model_copy(update=results[model].settings)
        changes = compare(whole, settings, chosen, whole.models)
    values = {name: v for result in results.values() for name, v in result.settings.items()}
    before = {name: getattr(settings, name) for name in values}
    record = _record(run_key, results, changes)
    worse = [name for name, change in changes.items() if change.worse]
    if worse:
        names = " and ".join(worse)
        log.warning("%s stays as it is: %s would become worse", store.tuned_file, names)
    elif values != before:
        # What this search leaves alone stays as an earlier one found it.
        earlier_values = earlier["settings"] if earlier else {}
        store.records.write_tuned({"settings": {**earlier_values, **values}, **record})
        log.info("wrote %s", store.tuned_file)
    _remove_old_studies(store)
    return {
        **record,
        "found": values,
        "before": before,
        "trials": {model: result.trials for model, result in results.items()},
        "held_out_ratings": len(whole.test.rating),
        "written": values != before and not worse,
    }


def _trial_workers(settings: Settings, part: Part) -> AbstractContextManager[Workers]:
    """Workers for the trials, where the setting `engine` says; each gets all ratings."""

    def for_each(n: int) -> list[Part]:
        return [part] * n

    make = functools.partial(trial_worker, settings.device)
    return workers_for(settings, lambda: TrialWorker(part), for_each, make)


def _record(
    run_key: str, results: Mapping[ModelName, SearchResult], changes: Mapping[str, Change]
) -> dict[str, Any]:
    """Where tuned settings come from."""
    return {
        "run_key": run_key,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "studies": [result.study for result in results.values() if result.study],
        "measures": {name: change.to_record() for name, change in changes.items()},
    }


def _remove_old_studies(store: Store) -> None:
    studies = sorted(store.studies.glob("*.journal"), key=lambda path: path.stat().st_mtime)
    for path in studies[:-KEPT_STUDIES]:
        path.unlink()


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the log lines of Optuna, and its warnings of what may change."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
