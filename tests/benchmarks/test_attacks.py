"""Attacks of the benchmark: what fake accounts rate, and how far the pushed item is shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.attack_profiles import ATTACKS, POPULAR, Attack, attacked
from benchmarks.attacks import (
    Honest,
    attacks_of,
    in_seconds,
    reach,
    share_of,
    with_interval,
)
from cofi_jobs.core.factors import Factors
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale

N_USERS, N_ITEMS, PUSHED = 30, 120, 11


def real_ratings(seed: int) -> Ratings:
    rng = np.random.default_rng(seed)
    liked = np.linspace(0.9, 0.2, N_ITEMS)  # the first items are the most popular
    user, item = np.nonzero(rng.random((N_USERS, N_ITEMS)) < liked)
    rating = rng.integers(1, 11, len(user)) / 2
    return Ratings(
        user.astype(np.int32), item.astype(np.int32), rating.astype(np.float32), N_USERS, N_ITEMS
    )


@given(st.sampled_from(ATTACKS), st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_fake_accounts_look_usual_and_push_one_item(attack: Attack, n: int, seed: int):
    real = real_ratings(seed)
    every = attacked(real, attack, PUSHED, n, np.random.default_rng(seed))
    n_real = len(real.rating)
    assert every.n_users == N_USERS + n
    assert (every.item_index[:n_real] == real.item_index).all()
    size = 0 if attack == "one item" else int(np.median(np.bincount(real.user_index)))
    counts = np.bincount(real.item_index)
    popular = [i for i in np.argsort(-counts, kind="stable") if i != PUSHED][:POPULAR]
    for user in range(N_USERS, N_USERS + n):
        theirs = every.where(every.user_index == user)
        stars = dict(zip(theirs.item_index, theirs.rating, strict=True))
        assert len(stars) == len(theirs.rating)  # no item twice
        assert stars[PUSHED] == 5
        assert set(stars.values()) <= set(real.rating)
        if attack == "bandwagon":
            assert all(stars[i] == 5 for i in popular)
        else:
            assert len(stars) == size + 1


def test_reach_is_where_the_item_is_shown():
    real = real_ratings(0)
    honest = Honest(
        real, real, np.full(N_USERS, np.datetime64("NaT", "s")), np.datetime64("NaT", "s"),
        Scale(0.5, 5), 4.0,
    )  # fmt: skip
    X = np.eye(N_ITEMS, dtype=np.float32)
    X[:, 0] = 0.01
    W = np.zeros((N_USERS, N_ITEMS), np.float32)
    unrated = np.setdiff1d(np.arange(N_USERS), real.user_index[real.item_index == PUSHED])
    W[unrated[:3], PUSHED] = 1  # three users of those who have not rated it get it first
    W[unrated[3:], PUSHED] = -1
    shown = reach(honest, real, PUSHED, Factors(X, W, np.zeros(N_USERS, np.float32)))
    assert shown.top == pytest.approx(100 * 3 / len(unrated))
    n_unrated = N_ITEMS - np.bincount(real.user_index)[unrated]  # the others get it last
    assert shown.rank == pytest.approx(np.append(np.ones(3), n_unrated[3:]).mean())
    assert shown.popular == 100


def test_times_of_any_unit_become_seconds():
    seconds = np.array([1.2e9, 1.7e9])
    for unit in (1, 1e3, 1e6, 1e9):
        assert in_seconds(seconds * unit) == pytest.approx(seconds)


def test_wrong_options_are_named():
    assert attacks_of("one item,random") == ["random", "one item"]
    assert attacks_of("") == []
    with pytest.raises(ValueError, match="found the attack 'love', expected some of random"):
        attacks_of("random,love")
    for text in ("0", "-1", "2", "nan", "much"):
        with pytest.raises(ValueError, match=f"found the share '{text}', expected a number"):
            share_of(text)


def test_measures_are_means_with_an_interval():
    assert with_interval(np.full(5, 2.0), ".1f") == "2.0 ± 0.0"
    assert with_interval(np.array([1.0]), ".1f") == "1.0 ± nan"
    some = np.array([0.1, 0.3, 0.2, 0.4] * 5)
    half = 2.093 * some.std(ddof=1) / np.sqrt(20)  # Student's t of 19 degrees of freedom
    assert with_interval(some, ".4f") == f"0.2500 ± {half:.4f}"
