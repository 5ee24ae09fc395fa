"""A study: the trials of one model, kept in a file, and the search that adds trials.

A study that was interrupted goes on as if it had not been: what is tried next is a function of the
finished trials and the seed.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from cofi_jobs.core.errors import StoreError
from cofi_jobs.store.files import make_folder
from cofi_jobs.tuning.space import Direction

log = logging.getLogger(__name__)

Params = dict[str, Any]  # setting -> value


def open_study(path: Path, direction: Direction) -> optuna.Study:
    """The study of a file, created if there is none.

    The file is a journal with one line for each finished trial, and only whole lines count. So a
    process may be killed at any time, and no database's locks are needed on a shared disk. Raises
    StoreError if the lines are not a journal of a study.
    """
    make_folder(path.parent)
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        path.write_bytes(content[: content.rfind(b"\n") + 1])  # killed in the middle of a line
    path.with_name(path.name + ".lock").unlink(missing_ok=True)  # left by older versions
    try:
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_NoLock(str(path))))
        if not storage.get_all_studies():
            return optuna.create_study(study_name=path.stem, storage=storage, direction=direction)
        study = optuna.load_study(study_name=path.stem, storage=storage)
        if not np.isfinite(_seconds(study)).all():
            raise ValueError("a trial took no finite time")
    except OSError:
        raise
    except Exception as error:  # optuna replays the lines, and raises whatever that leads to
        raise StoreError(
            f"{path}: found {type(error).__name__} ({error}), expected a journal of trials; "
            "restore it from a backup, or remove it, and tuning starts again"
        ) from None
    return study


class _NoLock(JournalFileOpenLock):
    """The store's lock lets in one process alone.

    Optuna's own would outlive a killed process, and hide what the system says of the disk.
    """

    def acquire(self) -> bool:
        """No other process has the lock of the store."""
        return True

    def release(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Tried:
    """What a trial gave, None where learning failed, and the seconds that it took."""

    value: float | None
    seconds: float


def ask(
    study: optuna.Study,
    space: Mapping[str, BaseDistribution],
    starts: Sequence[Params],
    seed: int,
    running: Sequence[Params] = (),
) -> Params:
    """The settings of the next trial: the first of `starts` that was not tried, else TPE's choice.

    `running` are trials that have no value yet. TPE: Bergstra et al. 2011, "Algorithms for
    hyper-parameter optimization".
    """
    trials = study.get_trials(deepcopy=False)
    begun = [*(trial.params for trial in trials), *running]
    for start in starts:
        if start not in begun:
            return start
    sampler = optuna.samplers.TPESampler(seed=seed + len(begun))
    in_memory = optuna.create_study(direction=study.direction, sampler=sampler)
    in_memory.add_trials(trials)
    return in_memory.ask(dict(space)).params


def search(
    study: optuna.Study,
    space: Mapping[str, BaseDistribution],
    starts: Sequence[Params],
    seed: int,
    seconds: float,
    measure: Callable[[Sequence[Params]], Sequence[Tried]],
    at_once: int = 1,
) -> None:
    """Try settings for so many seconds, `at_once` trials beside each other.

    The seconds are those of all trials of the study. The first settings are always tried.
    """
    while may_start(_seconds(study), at_once * seconds):
        running: list[Params] = []
        while len(running) < at_once:
            running.append(ask(study, space, starts, seed, running))
        for params, tried in zip(running, measure(running), strict=True):
            trial = optuna.create_trial(
                params=params,
                distributions={name: space[name] for name in params},
                value=tried.value,
                state=TrialState.PRUNED if tried.value is None else TrialState.COMPLETE,
                user_attrs={"seconds": tried.seconds},
            )
            study.add_trial(trial)
            _log(study, tried.value)


def _log(study: optuna.Study, value: float | None) -> None:
    finished = best(study)
    log.info(
        "%s, trial %d: %s%s",
        study.study_name,
        n_trials(study),
        "learning failed" if value is None else f"{value:.4f}",
        f", best {finished[0].value:.4f}" if finished else "",
    )


def _seconds(study: optuna.Study) -> list[float]:
    return [trial.user_attrs["seconds"] for trial in study.get_trials(deepcopy=False)]


def may_start(took: Sequence[float], seconds: float) -> bool:
    """Whether another trial is likely to end in time, after trials that took so long."""
    return not took or sum(took) + float(np.median(took)) <= seconds


def n_trials(study: optuna.Study) -> int:
    """How many trials the study has."""
    return len(study.get_trials(deepcopy=False))


def best(study: optuna.Study) -> list[FrozenTrial]:
    """Trials in which learning did not fail, the best first."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
    return sorted(trials, key=lambda trial: sign * (trial.value or 0.0))
