"""The ratings of a run as train uses them: on workers, each with those of neighbouring users."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pyarrow as pa

from cofi_jobs.core.ratings import Ratings, joined_ratings
from cofi_jobs.core.scale import Scale, scale_of
from cofi_jobs.engine.engines import workers_for
from cofi_jobs.engine.workers import LocalWorkers, Workers
from cofi_jobs.evaluation.split import check_some_are_older
from cofi_jobs.model.checkpoints import Checkpoints
from cofi_jobs.model.chunks import chunks
from cofi_jobs.model.observations import Learnable, Observations
from cofi_jobs.model.sharded import Counts, ShardedObservations, UserShard, Which
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.run_tables import RatingRows
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout import read_split
from cofi_jobs.tasks.read_shard import read_shard


@contextmanager
def run_ratings(
    store: Store, run_key: str, settings: Settings, users: pa.Table, items: pa.Table
) -> Iterator["RunRatings"]:
    """A run's ratings, where the setting `engine` says. `users` and `items` are those of the run.

    Raises DataError if there is no rating to learn from.
    """
    scale = scale_of(store.required_outcome(run_key, "ingest")["scale"])
    parts: list[RatingRows] = []

    def whole() -> UserShard:
        return UserShard(*read_split(store, run_key, settings), scale)

    def divide(n: int) -> list[RatingRows]:
        parts[:] = parts_of_users(users["n_ratings"].to_numpy(), len(items), n)
        return parts

    make = functools.partial(read_shard, store.location, run_key, settings, scale)
    with workers_for(settings, whole, divide, make) as workers:
        first_users = np.array([part.users.start for part in parts] or [0])
        yield RunRatings(workers, first_users, scale, settings.test_days)


class RunRatings:
    """Ratings on workers, each a `UserShard`, in the order of the users."""

    def __init__(
        self,
        workers: Workers,
        first_users: np.ndarray,
        scale: Scale | None,
        test_days: float | None,
    ) -> None:
        self.workers, self.first_users = workers, first_users
        self.scale, self.test_days = scale, test_days
        self._counts: dict[Which, Counts] = {}

    def counts(self, which: Which) -> Counts:
        """How many ratings users and items have, of all ratings or those to train on."""
        if which not in self._counts:
            counts: Counts = self.workers.total("counts", which)
            check_some_are_older(int(counts.users.sum()), self.test_days)
            self._counts[which] = counts
        return self._counts[which]

    def test(self) -> Ratings:
        """All test ratings, in this process."""
        return joined_ratings(self.workers.each("test"))

    def learnable(self, which: Which, means: np.ndarray, checkpoints: Checkpoints) -> Learnable:
        """Ratings to learn from; `means` (n_items,) are taken off for the rating model."""
        if isinstance(self.workers, LocalWorkers) and len(self.workers.workers) == 1:
            here: Observations = self.workers.workers[0].observations(which, means)
            return replace(here, checkpoints=checkpoints)
        where = self.workers, self.first_users
        return ShardedObservations(
            *where, which, means, self.scale, self.counts(which), checkpoints
        )


def parts_of_users(user_counts: np.ndarray, n_items: int, n: int) -> list[RatingRows]:
    """At most n parts of neighbouring users with about as many ratings; all users are in one."""
    rows = np.append(0, np.cumsum(user_counts))
    return [
        RatingRows(users, slice(int(rows[users.start]), int(rows[users.stop])), n_items)
        for users in chunks(user_counts, n)
    ]
