"""A fit whose ratings are on workers: each has a shard with those of neighbouring users."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from cofi_jobs.core.arrays import tally
from cofi_jobs.core.factors import Factors, UserParameters
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.engine.workers import Workers
from cofi_jobs.model.checkpoints import Checkpoints, NoCheckpoint
from cofi_jobs.model.chunks import RATINGS_AT_ONCE, chunks_of
from cofi_jobs.model.draws import BLOCK, UserBlocks
from cofi_jobs.model.fit import Fit, fit_exact
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.observations import Observations
from cofi_jobs.model.shards import Learned, Shard, StepSums, Totals, slices

Which = Literal["train", "all"]  # of the ratings of a run
Side = Literal["user", "item"]


class EarlierRun(Protocol):
    """A run whose holdout model this run's goes on from."""

    def learned_from(self, users: slice, test: Ratings) -> np.ndarray:
        """Mask of test ratings of some users, by their row numbers, whose pair it has seen."""


@dataclass(frozen=True)
class Counts:
    """Sums over the ratings of some users; those of disjoint groups add up."""

    n_users: int
    n_ratings: int
    items: np.ndarray  # (n_items,) number of ratings of each item
    trusted: np.ndarray  # (n_items,) the same, each as much as its user is trusted
    item_sums: np.ndarray  # (n_items,) sum of the ratings of each item, weighted by trust

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.n_users + other.n_users,
            self.n_ratings + other.n_ratings,
            self.items + other.items,
            self.trusted + other.trusted,
            self.item_sums + other.item_sums,
        )


@dataclass(frozen=True)
class FitPlan:
    """All that a worker must know of a fit beside its own ratings."""

    which: Which
    objective: Objective
    means: np.ndarray  # (n_items,)
    totals: Totals
    seed: int
    key: str = field(default_factory=lambda: uuid.uuid4().hex)  # another for each fit


def whole_blocks(users: slice, n_users: int) -> slice:
    """The users of all blocks (`draws.BLOCK`) that have some of these, of n in all."""
    return slice(users.start // BLOCK * BLOCK, min(n_users, -(-users.stop // BLOCK) * BLOCK))


class UserShard:
    """A worker: the ratings of some users, and what training asks of them.

    Its methods depend on nothing but their arguments. What is kept between calls only saves time.

    `ratings` and the mask `is_test` are those of `whole_blocks` of the worker's `users`, whose
    row numbers say where they are among all; None: of all users, who are the worker's.
    """

    def __init__(
        self,
        ratings: Ratings,
        is_test: np.ndarray,
        scale: Scale | None,
        users: slice | None = None,
    ) -> None:
        self.users = users or slice(0, ratings.n_users)
        self.scale = scale
        first = self.users.start // BLOCK * BLOCK
        in_blocks = slice(self.users.start - first, self.users.stop - first)
        self.blocks: dict[Which, UserBlocks] = {}  # of a worker that has parts of them
        if in_blocks != slice(0, ratings.n_users):
            user_index: dict[Which, np.ndarray] = {
                "train": ratings.user_index[~is_test],
                "all": ratings.user_index,
            }
            for which, index in user_index.items():
                self.blocks[which] = UserBlocks(tally(index, ratings.n_users), first, in_blocks)
            is_kept = np.zeros(len(is_test), bool)
            is_kept[ratings.rows_of(in_blocks)] = True
            # A copy, so that the memory of the others' ratings is freed.
            ratings = ratings.where(is_kept).of_users(in_blocks)
            is_test = is_test[is_kept]
        self.ratings, self.is_test = ratings, is_test
        self._train: Ratings | None = None
        self._shard: tuple[str, Shard] | None = None

    def counts(self, which: Which) -> Counts:
        """Of all these ratings or of those to train on."""
        ratings = self._of(which)
        weighted = ratings.rating
        if ratings.trust is not None:
            weighted = weighted * ratings.trust[ratings.user_index]
        return Counts(
            ratings.n_users,
            len(ratings.rating),
            tally(ratings.item_index, ratings.n_items),
            ratings.trusted_counts(),
            tally(ratings.item_index, ratings.n_items, weighted),
        )

    def pairs_of_item(self, which: Which, objective: Objective) -> float:
        """As `Objective.pairs_of_item`, of these users."""
        ratings = self._of(which)
        user_counts = tally(ratings.user_index, ratings.n_users)
        return objective.pairs_of_item(user_counts, ratings.n_items, ratings.trust)

    def learned_from(self, earlier: EarlierRun, side: Side) -> np.ndarray:
        """Row numbers of the users or items of test ratings that an earlier model learned from."""
        numbers = [np.empty(0, np.int64)]
        counts = tally(self.ratings.user_index, self.ratings.n_users)
        for users in chunks_of(counts, RATINGS_AT_ONCE):
            ratings = self.ratings.of_users(users)
            test = ratings.where(self.is_test[self.ratings.rows_of(users)])
            first = self.users.start + users.start
            seen = earlier.learned_from(slice(first, first + test.n_users), test)
            index = test.item_index if side == "item" else test.user_index + first
            numbers.append(np.unique(index[seen]))
        return np.unique(np.concatenate(numbers))

    def observations(self, which: Which, means: np.ndarray) -> Observations:
        """Ratings to learn from; `means` (n_items,) are taken off for the rating model."""
        return Observations(self._of(which), means, self.scale)

    def step_sums(self, plan: FitPlan, learned: Learned, draw: int) -> StepSums:
        """As `Shard.step_sums`."""
        return self._shard_of(plan).step_sums(learned, draw)

    def loss(self, plan: FitPlan, learned: Learned, draw: int) -> StepSums:
        """As `Shard.loss`."""
        return self._shard_of(plan).loss(learned, draw)

    def rows_of(self, plan: FitPlan, learned: Learned, users: slice) -> UserParameters:
        """As `Shard.rows_of`."""
        return self._shard_of(plan).rows_of(learned, users)

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
            blocks = self.blocks.get(plan.which)
            shard = Shard(plan.objective, ratings, plan.totals, plan.seed, blocks)
            self._shard = plan.key, shard
        return self._shard[1]


@dataclass(frozen=True)
class ShardedObservations:
    """Ratings to learn from, on workers that are `UserShard`s; as `Learnable`."""

    workers: Workers
    n_users: Sequence[int]  # of each worker
    which: Which
    means: np.ndarray
    scale: Scale | None
    counts: Counts
    checkpoints: Checkpoints = NoCheckpoint

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of items and users."""
        return len(self.counts.items), self.counts.n_users

    def fit(self, objective: Objective, initial: Factors, seed: int) -> Fit:
        """As `Observations.fit`, with exact users only."""
        counts = self.counts
        pairs = self.workers.total("pairs_of_item", self.which, objective)
        penalty = objective.item_penalties(counts.trusted, pairs)
        totals = Totals(counts.n_users, counts.n_ratings, counts.trusted, penalty)
        plan = FitPlan(self.which, objective, self.means, totals, seed)
        shards = WorkerShards(self.workers, self.n_users, plan)
        return fit_exact(objective, initial, shards, seed, self.checkpoints)


class WorkerShards:
    """The shards of one fit, as `shards.Shards`."""

    def __init__(self, workers: Workers, n_users: Sequence[int], plan: FitPlan) -> None:
        self.workers, self.n_users, self.totals = workers, n_users, plan.totals
        self.plan = workers.share(plan)

    def step_sums(self, learned: Learned, draw: int) -> StepSums:
        """As in `Shards`."""
        return self._total("step_sums", learned, draw)

    def loss(self, learned: Learned, draw: int) -> StepSums:
        """As in `Shards`."""
        return self._total("loss", learned, draw)

    def rows(self, learned: Learned) -> Iterator[UserParameters]:
        """As in `Shards`."""
        parts = [slices(n) for n in self.n_users]
        return self.workers.in_order("rows_of", self.plan, self.workers.share(learned), parts=parts)

    def _total(self, method: str, learned: Learned, draw: int) -> StepSums:
        sums: StepSums = self.workers.total(method, self.plan, self.workers.share(learned), draw)
        return sums
