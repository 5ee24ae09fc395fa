"""The benchmark of similar items: hit rates of an oracle, neighbours that are never the item."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from benchmarks.similar_hits import PAIRS, K, hit_rate
from benchmarks.similar_items_peers import popularity
from cofi_jobs.core.ratings import Ratings

N_USERS, N_ITEMS = 4, 30


def in_rows(items_of_users: list[list[int]]) -> Ratings:
    user = np.repeat(np.arange(N_USERS), [len(items) for items in items_of_users]).astype(np.int32)
    item = np.array([item for items in items_of_users for item in items], np.int32)
    return Ratings(user, item, np.ones(len(item), np.float32), N_USERS, N_ITEMS)


def test_the_hit_rate_is_that_of_a_loop_over_users():
    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 10**6))
    def check(seed: int) -> None:
        rng = np.random.default_rng(seed)
        orders = [rng.permutation(N_ITEMS)[: rng.integers(2, 12)].tolist() for _ in range(N_USERS)]
        cuts = [int(rng.integers(1, len(order))) for order in orders]
        neighbours = np.array([rng.permutation(N_ITEMS)[:K] for _ in range(N_ITEMS)])
        shares = []
        for order, cut in zip(orders, cuts, strict=True):
            pairs = [(order[at - 1], order[at]) for at in range(cut, len(order))][:PAIRS]
            shares.append(np.mean([second in neighbours[first] for first, second in pairs]))
        known = in_rows([order[:cut] for order, cut in zip(orders, cuts, strict=True)])
        held_out = in_rows([order[cut:] for order, cut in zip(orders, cuts, strict=True)])
        assert hit_rate(neighbours, known, held_out) == pytest.approx(np.mean(shares))

    check()


def test_a_user_without_a_pair_does_not_count():
    known, held_out = in_rows([[1], [2], [], []]), in_rows([[5], [], [6], []])
    neighbours = np.full((N_ITEMS, K), -1)
    neighbours[1, 0] = 5
    assert hit_rate(neighbours, known, held_out) == 1


def test_popular_neighbours_are_the_items_with_most_users_but_itself():
    positive = csr_matrix(np.tril(np.ones((K + 5, K + 5))))  # item 0 has the most users
    table = popularity(positive)
    for item in range(K + 5):
        assert table[item].tolist() == [other for other in range(K + 1) if other != item][:K]
