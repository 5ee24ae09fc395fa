"""A fit whose ratings are on workers: each has a shard with those of neighbouring users."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cofi_jobs.core.arrays import tally
from cofi_jobs.core.factors import Factors
from cofi_jobs.core.ratings import Ratings, joined
from cofi_jobs.core.scale import Scale
from cofi_jobs.engine.workers import Workers
from cofi_jobs.model.checkpoints import Checkpoints, NoCheckpoint
from cofi_jobs.model.fit import Fit, fit_exact
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.observations import Observations
from cofi_jobs.model.shards import Learned, Shard, StepSums, Totals

Which = Literal["train", "all"]  # of the ratings of a run


@dataclass(frozen=True)
class Counts:
    """Sums over the ratings of some users; those of neighbouring users are joined by +."""

    users: np.ndarray  # (n_users,) number of ratings of each user
    items: np.ndarray  # (n_items,) number of ratings of each item
    trusted: np.ndarray  # (n_items,) the same, each as much as its user is trusted
    item_sums: np.ndarray  # (n_items,) sum of the ratings of each item, weighted by trust
    trust: np.ndarray | None  # (n_users,) as in `Ratings`

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            np.concatenate([self.users, other.users]),
            self.items + other.items,
            self.trusted + other.trusted,
            self.item_sums + other.item_sums,
            joined([self.trust, other.trust]),
        )


@dataclass(frozen=True)
class FitPlan:
    """All that a worker must know of a fit beside its own ratings."""

    which: Which
    objective: Objective
    means: np.ndarray  # (n_items,)
    totals: Totals
    key: str = field(default_factory=lambda: uuid.uuid4().hex)  # another for each fit


class UserShard:
    """A worker: the ratings of some users, and what training asks of them.

    Its methods depend on nothing but their arguments. What is kept between calls only saves time.
    """

    def __init__(self, ratings: Ratings, is_test: np.ndarray, scale: Scale | None) -> None:
        self.ratings, self.is_test, self.scale = ratings, is_test, scale
        self._train: Ratings | None = None
        self._shard: tuple[str, Shard] | None = None

    def counts(self, which: Which) -> Counts:
        """Of all these ratings or of those to train on; users are those of this worker."""
        ratings = self._of(which)
        weighted = ratings.rating
        if ratings.trust is not None:
            weighted = weighted * ratings.trust[ratings.user_index]
        return Counts(
            tally(ratings.user_index, ratings.n_users),
            tally(ratings.item_index, ratings.n_items),
            ratings.trusted_counts(),
            tally(ratings.item_index, ratings.n_items, weighted),
            ratings.trust,
        )

    def test(self) -> Ratings:
        """The test ratings."""
        return self.ratings.where(self.is_test)

    def observations(self, which: Which, means: np.ndarray) -> Observations:
        """Ratings to learn from; `means` (n_items,) are taken off for the rating model."""
        return Observations(self._of(which), means, self.scale)

    def step_sums(self, plan: FitPlan, learned: Learned, users: np.ndarray) -> StepSums:
        """As `Shard.step_sums`."""
        return self._shard_of(plan).step_sums(learned, users)

    def loss(self, plan: FitPlan, learned: Learned, users: np.ndarray) -> StepSums:
        """As `Shard.loss`."""
        return self._shard_of(plan).loss(learned, users)

    def rows(self, plan: FitPlan, learned: Learned) -> tuple[np.ndarray, np.ndarray]:
        """As `Shard.rows`."""
        return self._shard_of(plan).rows(learned)

    def _of(self, which: Which) -> Ratings:
        if which == "all":
            self._train = None  # it takes as much memory as the ratings
            return self.ratings
        if self._train is None:
            self._train = self.ratings.where(~self.is_test)
        return self._train

    def _shard_of(self, plan: FitPlan) -> Shard:
        if self._shard is None or self._shard[0] != plan.key:
            self._shard = None
            ratings = self.observations(plan.which, plan.means).of_model(plan.objective)
            self._shard = plan.key, Shard(plan.objective, ratings, plan.totals)
        return self._shard[1]


@dataclass(frozen=True)
class ShardedObservations:
    """Ratings to learn from, on workers that are `UserShard`s; as `Learnable`."""

    workers: Workers
    first_users: np.ndarray  # (n_workers,) row number of the first user of each worker
    which: Which
    means: np.ndarray
    scale: Scale | None
    counts: Counts
    checkpoints: Checkpoints = NoCheckpoint

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of items and users."""
        return len(self.counts.items), len(self.counts.users)

    def fit(self, objective: Objective, initial: Factors, seed: int) -> Fit:
        """As `Observations.fit`, with exact users only."""
        counts = self.counts
        totals = Totals.of(objective, counts.users, counts.trusted, counts.trust)
        plan = FitPlan(self.which, objective, self.means, totals)
        shards = WorkerShards(self.workers, self.first_users, plan, self.counts.users)
        return fit_exact(objective, initial, shards, seed, self.checkpoints)


class WorkerShards:
    """The shards of one fit, as `shards.Shards`."""

    def __init__(
        self, workers: Workers, first_users: np.ndarray, plan: FitPlan, user_counts: np.ndarray
    ) -> None:
        self.workers, self.first_users = workers, first_users
        self.user_counts, self.totals = user_counts, plan.totals
        self.plan = workers.share(plan)

    def step_sums(self, learned: Learned, users: np.ndarray) -> StepSums:
        """As in `Shards`."""
        return self._total("step_sums", learned, users)

    def loss(self, learned: Learned, users: np.ndarray) -> StepSums:
        """As in `Shards`."""
        return self._total("loss", learned, users)

    def rows(self, learned: Learned) -> tuple[np.ndarray, np.ndarray]:
        """As in `Shards`."""
        of_each = self.workers.each("rows", self.plan, self.workers.share(learned))
        W, b = zip(*of_each, strict=True)
        return np.concatenate(W), np.concatenate(b)

    def _total(self, method: str, learned: Learned, users: np.ndarray) -> StepSums:
        parts = users_of_shards(users, self.first_users)
        sums: StepSums = self.workers.total(
            method, self.plan, self.workers.share(learned), parts=parts
        )
        return sums


def users_of_shards(users: np.ndarray, first_users: np.ndarray) -> Sequence[np.ndarray]:
    """These users' row numbers within each shard; the order stays."""
    shard = np.searchsorted(first_users, users, side="right") - 1
    return [users[shard == number] - first for number, first in enumerate(first_users)]
