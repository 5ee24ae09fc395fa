"""A fit that goes on from a state that it kept ends where it would have ended."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cofi_jobs.core.factors import initial_factors
from cofi_jobs.model.checkpoints import Checkpoints, FitState, NoCheckpoint
from cofi_jobs.model.fit import Fit, fit_ratings
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.user_ratings import by_user
from tests.support.ratings_matrix import planted

STEPS = 20
OBJECTIVE = Objective(
    exact_users=True, prior_lambda=0.3, alpha=0.2, recency=0.4, bias_lambda=1.0,
    steps=STEPS, cosine_decay=True, ratings_per_step=300,
)  # fmt: skip


class Memory:
    """Keeps each state of the fits that ask."""

    def __init__(self) -> None:
        self.states: dict[str, list[FitState]] = {}

    def __call__(self, fit: str) -> "OfFit":
        return OfFit(self.states.setdefault(fit, []))


class OfFit:
    def __init__(self, states: list[FitState]) -> None:
        self.states = states

    def load(self) -> FitState | None:
        return self.states[-1] if self.states else None

    def save(self, state: Callable[[], FitState]) -> None:
        now = state()
        self.states.append(replace(now, losses=[*now.losses]))


def fitted(
    checkpoints: Checkpoints, objective: Objective = OBJECTIVE, seed: int = 0, ratings: int = 10**6
) -> Fit:
    truth, seen = planted()
    user, item = (index.astype(np.int32)[:ratings] for index in np.nonzero(seen))
    columns = user, item, truth[seen][:ratings].astype(np.float32)
    start = initial_factors(60, 80, 3, seed=0)
    return fit_ratings(objective, start, by_user(*columns, 80), seed, checkpoints)


@pytest.mark.parametrize("done", [1, 7, STEPS])
def test_a_fit_goes_on_where_it_was(done: int) -> None:
    memory = Memory()
    whole = fitted(memory)
    [states] = memory.states.values()
    assert len(states) == STEPS
    del states[done:]
    resumed = fitted(memory)
    assert len(states) == STEPS, "steps that were done are not done again"
    np.testing.assert_allclose(resumed.losses, whole.losses, rtol=1e-5)
    assert list(resumed.fixed_losses) == list(whole.fixed_losses)
    np.testing.assert_allclose(resumed.factors.X, whole.factors.X, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(resumed.factors.W, whole.factors.W, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "other",
    [
        {"objective": Objective(exact_users=True, steps=STEPS, ratings_per_step=300)},
        {"seed": 1},
        {"ratings": 1000},
    ],
)
def test_another_fit_does_not_go_on_from_it(other: dict) -> None:
    memory = Memory()
    fitted(memory)
    fresh = fitted(NoCheckpoint, **other)
    assert fitted(memory, **other).losses == pytest.approx(fresh.losses, rel=1e-5)
    assert len(memory.states) == 2
