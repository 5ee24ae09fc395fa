"""The search for the settings of one model: trials, then a final among the best of them."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from optuna.distributions import BaseDistribution

from cofi_jobs.engine.workers import Workers
from cofi_jobs.settings.fields import Settings
from cofi_jobs.tuning.distributions import distributions, nearest
from cofi_jobs.tuning.measure import mean_over, tuned_for
from cofi_jobs.tuning.space import Direction, ModelName, searched
from cofi_jobs.tuning.study import Params, Tried, best, n_trials, open_study, search
from cofi_jobs.tuning.trials import measure_each

log = logging.getLogger(__name__)

SHARES: dict[ModelName, float] = {"ranking": 0.6, "rating": 0.4}  # of the time
FOR_TRIALS = 2 / 3  # of a model's time; the final takes the rest
# The best trials compete with the settings in use, with other seeds, so that luck does not decide.
FINALISTS = 5
TRIALS_A_FINALIST = 6  # so that the fits of the final take about half as long as the trials
SEEDS = 3
INHERITED = 3  # trials of the previous study with which a new one begins
# Settings beside the tuned ones that change what a trial gives, whatever the model.
SHARED = (
    "n_factors",
    "recency",
    "ratings_per_step",
    "learning_rate_schedule",
    "seed",
    "liked_from",
    "tune_users",
)


@dataclass(frozen=True)
class SearchResult:
    """What the search for one model found: settings, the study's name, its number of trials."""

    settings: Params
    study: str | None = None  # None: there was nothing to tune
    trials: int = 0


def tune_model(
    studies: Path,
    model: ModelName,
    settings: Settings,
    explicit: frozenset[str],
    run_key: str,
    workers: Workers,
    of_events: bool,
) -> SearchResult:
    """Search for the settings of a model, except those that are `explicit`.

    `settings` are where the search begins. The trials are kept in a file of the folder `studies`,
    and made by `workers`, which are each a `TrialWorker`.
    """
    space = distributions(searched(model, explicit, of_events), settings)
    if not space:
        return SearchResult({})
    measure_name, direction = tuned_for(model, settings)
    current = {name: getattr(settings, name) for name in space}
    digest = _digest(model, settings, space)
    study = open_study(studies / f"{run_key}.{model}.{digest}.journal", direction)
    starts = [current, *_inherited(studies, model, study.study_name, direction, current, space)]

    def tried(params: Sequence[Params]) -> list[Tried]:
        changed = [settings.model_copy(update=values) for values in params]
        fits = measure_each(workers, model, changed)
        return [
            Tried(fit.means[measure_name].value() if fit.means else None, fit.seconds)
            for fit in fits
        ]

    seconds = FOR_TRIALS * SHARES[model] * settings.tune_minutes * 60
    search(study, space, starts, settings.seed, seconds, tried, at_once=len(workers))
    trials = best(study)
    trials = trials[: min(FINALISTS, len(trials) // TRIALS_A_FINALIST)]
    finalists = [current, *(trial.params for trial in trials if trial.params != current)]
    winner = _final(workers, model, settings, finalists, study.study_name)
    return SearchResult(winner, study.study_name, n_trials(study))


def _final(
    workers: Workers,
    model: ModelName,
    settings: Settings,
    finalists: list[Params],
    study_name: str,
) -> Params:
    """The finalist that is best on average over fits with other seeds than the trials had."""
    measure_name, direction = tuned_for(model, settings)
    seeds, losses = range(settings.seed + 1, settings.seed + 1 + SEEDS), []
    for params in finalists:
        changed = [settings.model_copy(update={**params, "seed": seed}) for seed in seeds]
        means = [fit.means for fit in measure_each(workers, model, changed) if fit.means]
        value = mean_over(means)[measure_name].value() if len(means) == SEEDS else None
        losses.append(np.inf if value is None else value if direction == "minimize" else -value)
        place = f"{len(losses)} of {len(finalists)}"
        log.info("%s finalist %s: %.4f", study_name, place, abs(losses[-1]))
    return finalists[int(np.argmin(losses))]


def _digest(model: ModelName, settings: Settings, space: Mapping[str, BaseDistribution]) -> str:
    """Identifies a study: with another digest, earlier trials say nothing."""
    fixed = {
        name: value
        for name, value in settings.model_dump().items()
        if name not in space and _matters(name, model)
    }
    identity = json.dumps([fixed, {name: repr(d) for name, d in space.items()}])
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def _matters(name: str, model: ModelName) -> bool:
    """Whether the measure of a model's trials depends on a setting."""
    return (
        name in SHARED
        or name.startswith(("test_", f"{model}_"))
        or (model == "ranking" and name in ("ndcg_at", "confidence"))
    )


def _inherited(
    studies: Path,
    model: ModelName,
    study_name: str,
    direction: Direction,
    current: Params,
    space: Mapping[str, BaseDistribution],
) -> list[Params]:
    """The best trials of the newest other study of this model, moved into the space of this one."""
    others = [path for path in studies.glob(f"*.{model}.*.journal") if path.stem != study_name]
    if not others:
        return []
    newest = max(others, key=lambda path: path.stat().st_mtime)

    def moved(params: Params) -> Params:
        return {
            name: nearest(value, space[name]) for name, value in params.items() if name in space
        }

    trials = best(open_study(newest, direction))[:INHERITED]
    return [current | moved(trial.params) for trial in trials]
