"""What the job learns: the factors of one model, and the ratings or scores that they predict."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Factors:
    """Parameters of one model: `X` (n_items, n_features), `W` (n_users, n_features), `b` (n_users,), all float32."""

    X: np.ndarray
    W: np.ndarray
    b: np.ndarray


def initial_factors(n_items: int, n_users: int, n_features: int, seed: int) -> Factors:
    """Seeded normal numbers of standard deviation 0.1 / sqrt(n_features); `b` starts at zero."""
    rng = np.random.default_rng(seed)
    std = np.float32(0.1 / np.sqrt(n_features))
    X, W = (
        std * rng.standard_normal((n, n_features), dtype=np.float32) for n in (n_items, n_users)
    )
    return Factors(X, W, np.zeros(n_users, np.float32))


def predict(factors: Factors, user_index: np.ndarray, item_index: np.ndarray) -> np.ndarray:
    """w_j.x_i + b_j for pairs of row numbers, float32; in blocks that stay in cache."""
    scores = np.empty(len(user_index), np.float32)
    block = 1 << 14
    for start in range(0, len(scores), block):
        users, items = user_index[start : start + block], item_index[start : start + block]
        products = np.einsum("nk,nk->n", factors.W[users], factors.X[items])
        scores[start : start + block] = products + factors.b[users]
    return scores
