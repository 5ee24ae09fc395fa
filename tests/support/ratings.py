"""Pairs of users and items, and scores, for tests of measures."""

import numpy as np

from cofi_jobs.core.ratings import Ratings


def pairs(users, items, n_users: int = 3, n_items: int = 6) -> Ratings:
    return Ratings(
        np.array(users, np.int32), np.array(items, np.int32), np.ones(len(users)), n_users, n_items
    )


def drawn(n_users: int, n_items: int, seed: int = 0) -> tuple[Ratings, Ratings, np.ndarray]:
    """Train and relevant pairs that do not overlap, sorted by user, and scores with ties."""
    rng = np.random.default_rng(seed)
    chance = rng.random((n_users, n_items))
    train, relevant = np.nonzero(chance < 0.1), np.nonzero(chance > 0.93)
    scores = np.round(rng.standard_normal((n_users, n_items)), 1).astype(np.float32)
    train_pairs, relevant_pairs = (
        pairs(users, items, n_users, n_items) for users, items in (train, relevant)
    )
    return train_pairs, relevant_pairs, scores
