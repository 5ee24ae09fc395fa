"""The ratings of a run as train uses them: on workers, each with those of neighbouring users."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from cofi_jobs.core.scale import Scale, scale_of
from cofi_jobs.engine.engines import workers_for
from cofi_jobs.engine.workers import LocalWorkers, Workers
from cofi_jobs.evaluation.split import check_some_are_older
from cofi_jobs.model.checkpoints import Checkpoints
from cofi_jobs.model.observations import Learnable, Observations
from cofi_jobs.model.sharded import (
    Counts,
    EarlierRun,
    ShardedObservations,
    Side,
    UserShard,
    Which,
)
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import parquet
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout import read_split
from cofi_jobs.tasks.read_shard import read_shard
from cofi_jobs.tasks.run_split import parts_of_users


@contextmanager
def run_ratings(store: Store, run_key: str, settings: Settings) -> Iterator["RunRatings"]:
    """A run's ratings, where the setting `engine` says.

    Raises DataError if there is no rating to learn from.
    """
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    users = store.checked_table(run_key, "normalized") / "users.parquet"
    parts = [slice(0, parquet.read_metadata(users).num_rows)]

    def whole() -> UserShard:
        return UserShard(*read_split(store, run_key, settings), scale)

    def divide(n: int) -> list[slice]:
        with parquet.open_file(users) as file:
            parts[:] = parts_of_users(file, n)
        return parts

    make = functools.partial(read_shard, store.location, run_key, settings, scale)
    with workers_for(settings, whole, divide, make) as workers:
        n_users = [part.stop - part.start for part in parts]
        yield RunRatings(workers, n_users, scale, settings.test_days)


class RunRatings:
    """Ratings on workers, each a `UserShard`, in the order of the users."""

    def __init__(
        self,
        workers: Workers,
        n_users: Sequence[int],
        scale: Scale | None,
        test_days: float | None,
    ) -> None:
        self.workers, self.n_users = workers, n_users
        self.scale, self.test_days = scale, test_days
        self._counts: dict[Which, Counts] = {}

    def counts(self, which: Which) -> Counts:
        """How many ratings users and items have, of all ratings or those to train on."""
        if which not in self._counts:
            counts: Counts = self.workers.total("counts", which)
            check_some_are_older(counts.n_ratings, self.test_days)
            self._counts[which] = counts
        return self._counts[which]

    def learned_from(self, earlier: EarlierRun, side: Side) -> np.ndarray:
        """As `UserShard.learned_from`, of all users."""
        return np.concatenate(self.workers.each("learned_from", self.workers.share(earlier), side))

    def learnable(self, which: Which, means: np.ndarray, checkpoints: Checkpoints) -> Learnable:
        """Ratings to learn from; `means` (n_items,) are taken off for the rating model."""
        if isinstance(self.workers, LocalWorkers) and len(self.workers.workers) == 1:
            here: Observations = self.workers.workers[0].observations(which, means)
            return replace(here, checkpoints=checkpoints)
        where = self.workers, self.n_users
        return ShardedObservations(
            *where, which, means, self.scale, self.counts(which), checkpoints
        )
