"""The state of a fit between two steps, so that a fit that was killed goes on from there."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cofi_jobs.core.factors import Factors
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.shards import Shards


@dataclass(frozen=True)
class FitState:
    """All that the next step needs, but the ratings."""

    draw: int  # what the next step takes, as in `StepGradients`
    losses: list[float]  # of the steps so far, as in `Fit`
    fixed_losses: dict[int, float]
    arrays: Mapping[str, np.ndarray]  # what Adam learns and remembers, `Adam.arrays`


class Checkpoint(Protocol):
    """Keeps the state of one fit."""

    def load(self) -> FitState | None:
        """The newest state; None if there is none."""

    def save(self, state: Callable[[], FitState]) -> None:
        """Keep a state, unless the last one is so new that little would be lost."""


Checkpoints = Callable[[str], Checkpoint]  # by the fit's name, from `name_of_fit`


class NoCheckpoint:
    """Keeps nothing."""

    def __init__(self, fit: str = "") -> None: ...

    def load(self) -> None:
        """None."""

    def save(self, state: Callable[[], FitState]) -> None:
        """The state is not kept."""


def name_of_fit(objective: Objective, initial: Factors, shards: Shards, seed: int) -> str:
    """A name for a fit: another one if the objective, the seed or the numbers of ratings differ.

    The values of the initial factors do not matter: a state goes on from where it is.
    """
    totals = shards.totals
    what = (objective, seed, initial.X.shape, totals.n_users, totals.n_ratings)
    numbers = hashlib.sha256(repr(what).encode())
    numbers.update(np.ascontiguousarray(totals.item_counts).tobytes())
    return f"{objective.name}-{numbers.hexdigest()[:16]}"
