"""Learn item factors X and user parameters W, b by minimising J with Adam."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import tensorflow as tf

from cofi_jobs.core.errors import TrainingError
from cofi_jobs.core.factors import Factors, UserParameters, of_items
from cofi_jobs.core.ratings import trusted_counts
from cofi_jobs.model.checkpoints import (
    Checkpoint,
    Checkpoints,
    FitState,
    NoCheckpoint,
    name_of_fit,
)
from cofi_jobs.model.gradients import FullGradient, ProjectedGradient, StepGradients
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.shards import Shard, Shards, Totals
from cofi_jobs.model.training_step import Adam
from cofi_jobs.model.user_ratings import UserRatings, by_user

log = logging.getLogger(__name__)

BETA_1 = 0.9  # the usual value of Adam
# Adam with exact users. The gradient of many users' minimum has little noise: at the usual beta_1 a
# fit needs more steps to be as good.
EXACT_BETA_1, EXACT_EPSILON_SHARE = 0.5, 0.3


@dataclass(frozen=True)
class Fit:
    """What a fit learned, and its losses."""

    # What Adam changed. With exact users these are X and the prior; W and b have no rows then.
    learned: Factors
    # W and b of all users in order, some users at a time.
    rows: Callable[[], Iterator[UserParameters]]
    losses: list[float]  # J of all ratings before each step; with exact users an estimate
    # With exact users: J before some steps, which are counted from 0, always by the same users.
    fixed_losses: dict[int, float]

    @cached_property
    def factors(self) -> Factors:
        """The factors of all items and all users."""
        blocks = [*self.rows()]
        W, b = (np.concatenate([getattr(rows, name) for rows in blocks]) for name in ("W", "b"))
        return replace(self.learned, W=W, b=b)


def fit(
    objective: Objective,
    initial: Factors,
    user_index: np.ndarray,
    item_index: np.ndarray,
    y: np.ndarray,
    seed: int = 0,
    confidence: np.ndarray | None = None,
    tied: np.ndarray | None = None,
    trust: np.ndarray | None = None,
) -> Fit:
    """Minimise J over the observed (user, item, y), three columns of one length, from `initial` on.

    `confidence`, a fourth column, is c of each observation; None: 1. `tied` marks equal times, as
    in `Ratings`. `trust` (n_users,) is each user's weight in J; None: 1.
    With `objective.exact_users` Adam changes X and the prior alone, and W and b are those of the
    exact rows for the last of these. The initial W and b do not matter then, and each user's
    ratings must be in order of time. Otherwise each step changes X, W, b and the prior by the
    gradients of the J of all ratings.
    Raises TrainingError with the step and the setting to look at when J or X is no longer finite.
    """
    ratings = by_user(user_index, item_index, y, len(initial.W), confidence, tied, trust)
    return fit_ratings(objective, initial, ratings, seed)


def fit_ratings(
    objective: Objective,
    initial: Factors,
    ratings: UserRatings,
    seed: int = 0,
    checkpoints: Checkpoints = NoCheckpoint,
) -> Fit:
    """As `fit`, of ratings that are sorted by user; with exact users from a checkpoint on."""
    n_items = len(initial.X)
    if objective.exact_users:
        shard = shard_of_all(objective, ratings, n_items, seed)
        return fit_exact(objective, initial, shard, seed, checkpoints)
    item_counts = trusted_counts(ratings.user_index, ratings.item_index, n_items, ratings.trust)
    step_gradients = FullGradient(objective, ratings, item_counts)
    learned, losses, fixed_losses = _learn(objective, initial, step_gradients, NoCheckpoint())
    factors = Factors(**{"b": initial.b, **learned})
    rows = UserParameters(factors.W, factors.b, ratings.counts)
    return Fit(factors, lambda: iter([rows]), losses, fixed_losses)


def shard_of_all(objective: Objective, ratings: UserRatings, n_items: int, seed: int = 0) -> Shard:
    """All ratings in one shard."""
    item_counts = trusted_counts(ratings.user_index, ratings.item_index, n_items, ratings.trust)
    totals = Totals.of(objective, ratings.counts, item_counts, ratings.trust)
    return Shard(objective, ratings, totals, seed)


def fit_exact(
    objective: Objective,
    initial: Factors,
    shards: Shards,
    seed: int = 0,
    checkpoints: Checkpoints = NoCheckpoint,
) -> Fit:
    """What `fit` does with `objective.exact_users`, for ratings that may be in several places.

    Of the initial factors only X and the prior matter; `seed` is that of the shards. The fit goes
    on from its checkpoint, if there is one. Raises TrainingError as `fit` does.
    """
    step_gradients = ProjectedGradient(objective, shards)
    checkpoint = checkpoints(name_of_fit(objective, initial, shards, seed))
    learned, losses, fixed_losses = _learn(objective, initial, step_gradients, checkpoint)
    return Fit(of_items(**learned), partial(shards.rows, learned), losses, fixed_losses)


def _learn(
    objective: Objective, initial: Factors, step_gradients: StepGradients, checkpoint: Checkpoint
) -> tuple[dict[str, np.ndarray], list[float], dict[int, float]]:
    """What Adam learned from the initial factors on, and the two kinds of losses of `Fit`."""
    prior = np.zeros(initial.X.shape[1]) if initial.prior is None else initial.prior
    first = {**vars(initial), "prior": prior}
    variables = {
        name: tf.Variable(np.asarray(first[name], np.float32)) for name in step_gradients.learned
    }
    losses, fixed_losses = minimise(objective, variables, step_gradients, checkpoint)
    learned = {name: variable.numpy() for name, variable in variables.items()}
    if not np.isfinite(np.abs(learned["X"]).sum()):
        raise TrainingError(
            f"X of the {objective.name} model is not finite after the last step; "
            f"{_advice(objective)}"
        )
    return learned, losses, fixed_losses


def minimise(
    objective: Objective,
    learned: Mapping[str, tf.Variable],
    step_gradients: StepGradients,
    checkpoint: Checkpoint,
) -> tuple[list[float], dict[int, float]]:
    """The training loop: change `learned` in all steps of the objective.

    Returns J before each step, and before some steps that of the fixed users (`Fit`).
    """
    exact = objective.exact_users
    adam = Adam(
        [*learned.values()], EXACT_BETA_1 if exact else BETA_1, EXACT_EPSILON_SHARE if exact else 0
    )
    losses, fixed_losses = _resume(objective, adam, step_gradients, checkpoint)
    learning_rates = objective.learning_rates(objective.steps)
    for step in range(len(losses), objective.steps):
        tensors = {name: tf.convert_to_tensor(part) for name, part in learned.items()}
        if objective.has_fixed_loss(step):
            fixed_loss = step_gradients.fixed_loss(tensors)
            if fixed_loss is not None:
                fixed_losses[step] = fixed_loss
        J, gradients = step_gradients.next_step(tensors)
        adam.step(gradients, learning_rates[step])
        losses.append(float(J))
        _check_finite(objective, len(losses), losses[-1])
        if len(losses) % max(1, objective.steps // 5) == 0:
            log.info(
                "%s model: step %d of %d, J = %.6g",
                objective.name, len(losses), objective.steps, losses[-1],
            )  # fmt: skip
        checkpoint.save(lambda: FitState(step_gradients.draw, losses, fixed_losses, adam.arrays()))
    return losses, fixed_losses


def _resume(
    objective: Objective, adam: Adam, step_gradients: StepGradients, checkpoint: Checkpoint
) -> tuple[list[float], dict[int, float]]:
    """Be where the checkpoint was; returns the two kinds of losses so far."""
    state = checkpoint.load()
    if not state:
        return [], {}
    adam.restore(state.arrays)
    step_gradients.draw = state.draw
    log.info("%s model: going on after step %d", objective.name, len(state.losses))
    return [*state.losses], {**state.fixed_losses}


def _check_finite(objective: Objective, step: int, J: float) -> None:
    if not math.isfinite(J):
        raise TrainingError(
            f"J of the {objective.name} model is {J:g} in step {step}, expected a finite number; "
            f"{_advice(objective)}"
        )


def _advice(objective: Objective) -> str:
    return f"lower {objective.name}_learning_rate (now {objective.learning_rate:g})"
