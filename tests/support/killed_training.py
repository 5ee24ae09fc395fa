"""A process that trains is killed once it has kept some states of its fits."""

import os
import signal
from collections.abc import Callable

from cofi_jobs.model.checkpoints import FitState
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.open import open_store
from cofi_jobs.tasks.checkpoints import StoredCheckpoint
from cofi_jobs.tasks.runner import run_task
from tests.support.processes import exit_code

# 16 steps without the test ratings, 6 with all of them: the ranking model starts at step 9.
FITS = ["n_factors=4", "ratings_per_step=300", "rating_steps=8", "ranking_steps=8"]
EACH_STEP = [*FITS, "checkpoint_seconds=1e-9"]


def kill_training(address: str, run_key: str, n_states: int) -> None:
    """Train in a process of its own, which dies when it has kept so many states."""
    assert exit_code(_train_and_die, address, run_key, n_states) == -signal.SIGKILL


def _train_and_die(address: str, run_key: str, n_states: int) -> None:
    kept, save = [], StoredCheckpoint.save

    def save_and_die(self: StoredCheckpoint, state: Callable[[], FitState]) -> None:
        save(self, state)
        kept.append(self.name)
        if len(kept) == n_states:
            os.kill(os.getpid(), signal.SIGKILL)

    StoredCheckpoint.save = save_and_die  # type: ignore[method-assign]
    run_task("train", open_store(address), load_settings(EACH_STEP), run_key)
