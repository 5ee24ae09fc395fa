"""A matrix of ratings whose structure is known."""

import numpy as np


def planted(n_users: int = 80, n_items: int = 60, rank: int = 3, seed: int = 1):
    """A low-rank matrix, 60 % observed."""
    rng = np.random.default_rng(seed)
    truth = (rng.normal(size=(n_users, rank)) @ rng.normal(size=(rank, n_items))).astype(np.float32)
    seen = rng.random(truth.shape) < 0.6
    return truth, seen
