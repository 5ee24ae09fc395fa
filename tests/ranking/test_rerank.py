"""Re-ranking against slow oracles: the limit on groups, diversity; and lists stay full."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.ranking import rerank
from cofi_jobs.ranking.rerank import choose
from cofi_jobs.ranking.top_k import top_k


def greedy(candidates, k, groups, limit):
    """The best by score of which no group has more than its share."""
    taken: list[int] = []
    for item in candidates:
        if len(taken) < k and (
            not limit or groups[item] < 0 or sum(groups[i] == groups[item] for i in taken) < limit
        ):
            taken.append(item)
    return taken


def pool_of(candidates, k, groups, limit):
    size = rerank.POOL * k
    while len(greedy(candidates[:size], k, groups, limit)) < k and size < len(candidates):
        size *= rerank.GROWTH
    return candidates[:size]


def marginal_relevance(scores, candidates, unit, k, groups, limit, diversity):
    """MMR as in the paper, one candidate and one chosen item at a time; with each its margin."""
    pool = pool_of(candidates, k, groups, limit)
    taken: list[int] = []
    margins: list[float] = []
    span = max(scores[pool[0]] - scores[pool[-1]], 1e-30) if pool else 1
    while len(taken) < k:
        gains = {}
        for item in pool:
            free = (
                not limit
                or groups[item] < 0
                or sum(groups[i] == groups[item] for i in taken) < limit
            )
            if item not in taken and free:
                closest = max((float(unit[item] @ unit[i]) for i in taken), default=0.0)
                gains[item] = (1 - diversity) * (
                    scores[item] - scores[pool[-1]]
                ) / span - diversity * closest
        if not gains:
            break
        best = max(gains, key=lambda item: gains[item])  # of equal gains the first in the pool
        margins.append(
            gains[best]
            - max((gain for item, gain in gains.items() if item != best), default=-np.inf)
        )
        taken.append(best)
    return taken, margins


@st.composite
def problems(draw):
    n_users, n_items, k = (
        draw(st.integers(1, 4)),
        draw(st.integers(1, 150)),
        draw(st.integers(1, 8)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scores = rng.normal(size=(n_users, n_items)).astype(np.float32)
    if draw(st.booleans()):  # many ties
        scores = np.round(scores)
    scores[rng.random(scores.shape) < draw(st.sampled_from([0, 0.3, 0.95]))] = -np.inf
    # Unequal groups, so that the first pool is often too small.
    chances = np.array(
        [0.1, *draw(st.sampled_from([(0.9, 0, 0), (0.85, 0.03, 0.02), (0.3, 0.3, 0.3)]))]
    )
    groups = rng.choice([-1, 0, 1, 2], size=n_items, p=chances / chances.sum()).astype(np.int32)
    return scores, k, to_unit_length(rng.normal(size=(n_items, 3)).astype(np.float32)), groups


def candidates_of(scores):
    return [int(item) for item in np.argsort(-scores, kind="stable") if np.isfinite(scores[item])]


@given(problems(), st.integers(0, 4))
@settings(max_examples=300, deadline=None)
def test_a_limit_on_groups_is_exact_and_lists_stay_full(problem, limit):
    scores, k, unit, groups = problem
    columns, values = choose(scores, k, unit, groups, max_per_group=limit)
    for row, row_scores in enumerate(scores):
        keep = np.isfinite(values[row])
        assert columns[row][keep].tolist() == greedy(candidates_of(row_scores), k, groups, limit)
        assert values[row][keep].tolist() == row_scores[columns[row][keep]].tolist()
        assert keep.tolist() == sorted(keep, reverse=True)  # what is missing is missing at the end


@given(problems(), st.integers(0, 4), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
@settings(max_examples=300, deadline=None)
def test_diversity_is_marginal_relevance_and_lists_stay_full(problem, limit, diversity):
    scores, k, unit, groups = problem
    columns, values = choose(scores, k, unit, groups, max_per_group=limit, diversity=diversity)
    for row, row_scores in enumerate(scores.astype(float)):
        expected, margins = marginal_relevance(
            row_scores, candidates_of(row_scores), unit, k, groups, limit, diversity
        )
        chosen = columns[row][np.isfinite(values[row])]
        assert len(chosen) == len(greedy(candidates_of(row_scores), k, groups, limit))
        assert len(set(chosen)) == len(chosen)
        assert values[row][: len(chosen)].tolist() == row_scores[chosen].tolist()
        for item, other, margin in zip(chosen, expected, margins, strict=True):
            if margin < 1e-5:  # too close for float32: what follows may differ
                break
            assert item == other


@given(problems(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_without_limit_and_diversity_it_is_the_plain_top_k(problem, with_groups):
    scores, k, unit, groups = problem
    for actual, expected in zip(
        choose(scores, k, unit, groups if with_groups else None), top_k(scores, k), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
    # The smallest diversity goes through the pool and must not change a list without ties.
    distinct = scores + np.arange(scores.shape[1], dtype=np.float32) / 1000
    columns, values = choose(distinct, k, unit, diversity=1e-9)
    expected, best = top_k(distinct, k)
    np.testing.assert_array_equal(values, best)
    np.testing.assert_array_equal(columns[np.isfinite(best)], expected[np.isfinite(best)])


def test_many_users_go_through_in_parts(monkeypatch):
    rng = np.random.default_rng(0)
    scores, unit = (
        rng.normal(size=(40, 90)).astype(np.float32),
        to_unit_length(rng.normal(size=(90, 4))),
    )
    whole = choose(scores, 5, unit, diversity=0.5)
    monkeypatch.setattr(rerank, "POOL_BYTES", 7 * 4 * 25 * 4)  # seven users at once
    for actual, expected in zip(choose(scores, 5, unit, diversity=0.5), whole, strict=True):
        np.testing.assert_array_equal(actual, expected)
