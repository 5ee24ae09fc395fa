"""A fit whose ratings are in several shards is that of all ratings in one."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cofi_jobs.core.factors import initial_factors
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.engine.workers import LocalWorkers
from cofi_jobs.model import draws, sharded
from cofi_jobs.model.chunks import chunks
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.observations import Observations
from cofi_jobs.model.sharded import ShardedObservations, UserShard, whole_blocks
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


@pytest.fixture(params=[None, 16], ids=["one block", "blocks of 16 users"], autouse=True)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        for module in (draws, sharded):
            monkeypatch.setattr(module, "BLOCK", request.param)
        monkeypatch.setattr("cofi_jobs.model.shards.USERS_AT_ONCE", 7)


def in_shards(ratings: Ratings, is_test: np.ndarray, n: int) -> tuple[LocalWorkers, list[int]]:
    """Workers with neighbouring users' ratings, and how many users each has."""
    parts = chunks(np.bincount(ratings.user_index, minlength=ratings.n_users), n)
    workers = []
    for users in parts:
        blocks = whole_blocks(users, ratings.n_users)
        mine = (ratings.user_index >= blocks.start) & (ratings.user_index < blocks.stop)
        assert ratings.trust is not None
        trust = ratings.trust[blocks]
        part = replace(ratings.where(mine), n_users=blocks.stop - blocks.start, trust=trust)
        part = replace(part, user_index=part.user_index - np.int32(blocks.start))
        workers.append(UserShard(part, is_test[mine], SCALE, users))
    return LocalWorkers(workers), [users.stop - users.start for users in parts]


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
    workers, n_users = in_shards(ratings, is_test, n)
    assert len(n_users) == n
    counts = workers.total("counts", "train")
    sharded = ShardedObservations(workers, n_users, "train", means, SCALE, counts)
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
    workers, n_users = in_shards(ratings, is_test, 2)
    made_again = LocalWorkers([Forgetful(worker) for worker in workers.workers])
    counts = workers.total("counts", "all")
    fits = [
        ShardedObservations(those, n_users, "all", means, SCALE, counts).fit(objective, start, 0)
        for those in (workers, made_again)
    ]
    assert fits[0].losses == fits[1].losses


class Forgetful:
    """A worker that is made anew for each call, as after a loss."""

    def __init__(self, worker: UserShard) -> None:
        self.worker = worker

    def __getattr__(self, method: str):
        worker = copy.copy(self.worker)
        worker._train, worker._shard = None, None
        return getattr(worker, method)


def test_counts_of_shards_are_those_of_all():
    ratings, is_test = ratings_and_test()
    workers, _ = in_shards(ratings, is_test, 3)
    for which, mask in (("train", ~is_test), ("all", is_test | True)):
        counts = workers.total("counts", which)
        user, item = ratings.user_index[mask], ratings.item_index[mask]
        assert (counts.n_users, counts.n_ratings) == (80, len(user))
        np.testing.assert_array_equal(counts.items, np.bincount(item, minlength=60))
        assert ratings.trust is not None
        trust = ratings.trust[user]
        sums = np.bincount(item, trust * ratings.rating[mask], minlength=60)
        np.testing.assert_allclose(counts.item_sums, sums)
        np.testing.assert_allclose(counts.trusted, np.bincount(item, trust, minlength=60))


class EvenPairs:
    """An earlier run that has seen each pair whose row numbers add up to an even number."""

    def learned_from(self, users: slice, test: Ratings) -> np.ndarray:
        assert test.n_users == users.stop - users.start
        return (test.user_index + users.start + test.item_index) % 2 == 0


@pytest.mark.parametrize("n", [1, 3])
def test_users_and_items_of_test_ratings_that_an_earlier_run_has_seen(n, monkeypatch):
    monkeypatch.setattr(sharded, "RATINGS_AT_ONCE", 100)
    ratings, is_test = ratings_and_test()
    workers, _ = in_shards(ratings, is_test, n)
    seen = is_test & ((ratings.user_index + ratings.item_index) % 2 == 0)
    for side in ("user", "item"):
        numbers = np.concatenate(workers.each("learned_from", EvenPairs(), side))
        expected = getattr(ratings, f"{side}_index")[seen]
        assert sorted({*numbers.tolist()}) == sorted({*expected.tolist()})


def test_what_workers_return_to_the_task_does_not_grow_with_the_users(monkeypatch):
    """Sums over items, or a block of users' rows."""
    monkeypatch.setattr("cofi_jobs.model.shards.USERS_AT_ONCE", 7)
    ratings, is_test = ratings_and_test()
    workers, n_users = in_shards(ratings, is_test, 2)
    monkeypatch.setattr(LocalWorkers, "each", lambda *args, **kw: _small(each(*args, **kw)))
    monkeypatch.setattr(
        LocalWorkers, "in_order", lambda *args, **kw: map(_small, in_order(*args, **kw))
    )
    counts = workers.total("counts", "all")
    data = ShardedObservations(workers, n_users, "all", np.full(60, 3), SCALE, counts)
    objective = replace(OBJECTIVES[1], exact_users=True, steps=2)
    result = data.fit(objective, initial_factors(60, 0, 4, seed=0), seed=0)
    assert sum(len(rows.W) for rows in result.rows()) == 80


each, in_order = LocalWorkers.each, LocalWorkers.in_order


def _small(result: Any) -> Any:
    parts = result if isinstance(result, list) else [result]
    for part in parts:
        for value in vars(part).values() if hasattr(part, "__dict__") else [part]:
            for array in value if isinstance(value, list) else [value]:
                assert np.size(array) <= 60 * 4, "items x factors"
                assert 80 not in np.shape(array)
    return result
