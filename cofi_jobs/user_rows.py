"""A user's row of J, exactly.

For fixed item features J is quadratic in w_j, so the best row is a ridge solution,

    A w = sum of c_i y_i x_i    with    A = alpha_j X'X + sum of c_i x_i x_i' + penalty I.

Training ends with these rows, new users start with them, and `explain` asks how they change without one rating.
"""

from dataclasses import replace

import numpy as np

from cofi_jobs.heads import Head
from cofi_jobs.model import Factors, from_newest

SMALLEST_PENALTY = 1e-6  # without any penalty A could not be inverted
BLOCK = 1024


def recency_weights(user_index: np.ndarray, recency: float) -> np.ndarray:
    """c of each rating, float32: (1 for the newest of its user, 2 for the one before, ...)^-recency, of mean 1 by user.

    What a user rates next is more like what the user rated last. `user_index` is sorted, and each user's ratings are
    in order of time. With `recency = 0` all weights are 1.
    """
    counts = np.bincount(user_index)
    weights = from_newest(user_index).astype(np.float64) ** -recency
    return (weights * (counts / np.maximum(np.bincount(user_index, weights), 1))[user_index]).astype(np.float32)


def ridge_matrix(rated: np.ndarray, gram: np.ndarray, alpha: float, penalty: float | np.ndarray) -> np.ndarray:
    """A above, for rows `rated` (n, n_features) that are already multiplied by the roots of their weights."""
    return alpha * gram + rated.T @ rated + np.diag(np.broadcast_to(np.maximum(penalty, SMALLEST_PENALTY), len(gram)))


def solve(
    head: Head, X: np.ndarray, user_index: np.ndarray, item_index: np.ndarray, y: np.ndarray, n_users: int
) -> tuple[np.ndarray, np.ndarray]:
    """W (n_users, n_features) and b (n_users,), float32: J's minimum for these `X`, its ratings weighted by recency.

    The ratings are sorted by user, each user's in order of time.
    """
    features = X.astype(np.float64)
    if head.bias:  # b_j is one more feature, that is 1 for every item
        features = np.column_stack([features, np.ones(len(X))])
    counts = np.bincount(user_index, minlength=n_users)
    gram, alpha = features.T @ features, head.alphas(counts, len(X))
    penalty = np.tile(head.penalties(counts)[:, None], features.shape[1])
    if head.bias:
        penalty[:, -1] = head.bias_lambda
    root = np.sqrt(recency_weights(user_index, head.recency))
    ends = np.concatenate([[0], np.cumsum(counts)])
    rows = np.empty((n_users, features.shape[1]), np.float32)
    for start in range(0, n_users, BLOCK):
        users = range(start, min(start + BLOCK, n_users))
        A, right = np.empty((len(users), *gram.shape)), np.empty((len(users), len(gram)))
        for row, j in enumerate(users):
            own = slice(ends[j], ends[j + 1])
            rated = root[own, None] * features[item_index[own]]
            A[row] = ridge_matrix(rated, gram, alpha[j], penalty[j])
            right[row] = rated.T @ (root[own] * y[own])
        rows[users.start : users.stop] = np.linalg.solve(A, right[:, :, None])[:, :, 0]
    return (rows[:, :-1], rows[:, -1]) if head.bias else (rows, np.zeros(n_users, np.float32))


def solve_new(
    head: Head, factors: Factors, new: np.ndarray, user_index: np.ndarray, item_index: np.ndarray, y: np.ndarray
) -> Factors:
    """`factors` with J's minimum in the rows of the users of the mask `new` (n_users,): where such a user starts."""
    own, number = new[user_index], np.cumsum(new) - 1
    W, b = factors.W.copy(), factors.b.copy()
    W[new], b[new] = solve(
        replace(head, recency=0.0), factors.X, number[user_index[own]], item_index[own], y[own], int(new.sum())
    )
    return Factors(factors.X, W, b)
