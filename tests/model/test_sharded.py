"""A fit whose ratings are in several shards is that of all ratings in one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.factors import initial_factors
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.engine.workers import LocalWorkers
from cofi_jobs.model.chunks import chunks
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.observations import Observations
from cofi_jobs.model.sharded import ShardedObservations, UserShard, users_of_shards
from tests.support.ratings_matrix import planted

SCALE = Scale(1, 5)
OBJECTIVES = (
    Objective("rating", lambda_=0.5, nu=0.5, bias_lambda=1.0, recency=0.5),
    Objective("ranking", lambda_=0.5, alpha=3.0, prior_lambda=1.0, bias=False, kappa=0.3),
)


def ratings_and_test() -> tuple[Ratings, np.ndarray]:
    truth, seen = planted()
    seen[7] = False  # a user without ratings
    user, item = (index.astype(np.int32) for index in np.nonzero(seen))
    stars, rng = np.clip(truth[seen] + 3, 1, 5).astype(np.float32), np.random.default_rng(0)
    trust = rng.choice([0.3, 1], 80).astype(np.float32)
    ratings = Ratings(user, item, stars, 80, 60, trust=trust)
    return ratings, rng.random(len(user)) < 0.2


def in_shards(ratings: Ratings, is_test: np.ndarray, n: int) -> tuple[LocalWorkers, np.ndarray]:
    """Workers with neighbouring users' ratings, and the first user of each."""
    parts = chunks(np.bincount(ratings.user_index, minlength=ratings.n_users), n)
    workers = []
    for users in parts:
        mine = (ratings.user_index >= users.start) & (ratings.user_index < users.stop)
        assert ratings.trust is not None
        trust = ratings.trust[users]
        part = replace(ratings.where(mine), n_users=users.stop - users.start, trust=trust)
        part = replace(part, user_index=part.user_index - np.int32(users.start))
        workers.append(UserShard(part, is_test[mine], SCALE))
    return LocalWorkers(workers), np.array([users.start for users in parts])


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
@pytest.mark.parametrize("n", [1, 3])
def test_a_fit_of_several_shards_is_that_of_one(objective, n):
    ratings, is_test = ratings_and_test()
    means = np.linspace(2, 4, 60, dtype=np.float32)
    objective = replace(
        objective, exact_users=True, steps=6, learning_rate=0.05, ratings_per_step=300
    )
    start = initial_factors(60, 80, 4, seed=0)
    expected = Observations(ratings.where(~is_test), means, SCALE).fit(objective, start, seed=1)
    workers, first_users = in_shards(ratings, is_test, n)
    assert len(first_users) == n
    counts = workers.total("counts", "train")
    sharded = ShardedObservations(workers, first_users, "train", means, SCALE, counts)
    result = sharded.fit(objective, start, seed=1)
    np.testing.assert_allclose(result.losses, expected.losses, rtol=1e-4)
    np.testing.assert_allclose(
        list(result.fixed_losses.values()), list(expected.fixed_losses.values()), rtol=1e-4
    )
    np.testing.assert_allclose(result.factors.X, expected.factors.X, atol=1e-3)
    np.testing.assert_allclose(result.factors.W, expected.factors.W, atol=1e-3)
    np.testing.assert_allclose(result.factors.b, expected.factors.b, atol=1e-3)


def test_a_worker_that_is_made_again_within_a_fit_goes_on():
    ratings, is_test = ratings_and_test()
    start = initial_factors(60, 80, 4, seed=0)
    objective = replace(OBJECTIVES[1], exact_users=True, steps=4)
    means = np.full(60, 3, np.float32)
    workers, first_users = in_shards(ratings, is_test, 2)
    made_again = LocalWorkers([Forgetful(worker) for worker in workers.workers])
    counts = workers.total("counts", "all")
    fits = [
        ShardedObservations(those, first_users, "all", means, SCALE, counts).fit(
            objective, start, 0
        )
        for those in (workers, made_again)
    ]
    assert fits[0].losses == fits[1].losses


class Forgetful:
    """A worker that is made anew for each call, as after a loss."""

    def __init__(self, worker: UserShard) -> None:
        self.worker = worker

    def __getattr__(self, method: str):
        return getattr(UserShard(self.worker.ratings, self.worker.is_test, SCALE), method)


def test_counts_of_shards_are_those_of_all():
    ratings, is_test = ratings_and_test()
    workers, _ = in_shards(ratings, is_test, 3)
    for which, mask in (("train", ~is_test), ("all", is_test | True)):
        counts = workers.total("counts", which)
        user, item = ratings.user_index[mask], ratings.item_index[mask]
        np.testing.assert_array_equal(counts.users, np.bincount(user, minlength=80))
        np.testing.assert_array_equal(counts.items, np.bincount(item, minlength=60))
        assert ratings.trust is not None
        trust = ratings.trust[user]
        sums = np.bincount(item, trust * ratings.rating[mask], minlength=60)
        np.testing.assert_allclose(counts.item_sums, sums)
        np.testing.assert_allclose(counts.trusted, np.bincount(item, trust, minlength=60))
        np.testing.assert_array_equal(counts.trust, ratings.trust)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 5))
def test_each_user_is_asked_of_the_shard_that_has_it(sizes, seed):
    first_users = np.cumsum([0, *sizes[:-1]])
    users = np.random.default_rng(seed).permutation(sum(sizes))[: sum(sizes) // 2 + 1]
    parts = users_of_shards(users, first_users)
    back = [part + first for part, first in zip(parts, first_users, strict=True)]
    assert sorted(np.concatenate(back)) == sorted(users)
    assert all(((part >= 0) & (part < n)).all() for part, n in zip(parts, sizes, strict=True))
