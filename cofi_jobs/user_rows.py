"""A user's row of J, exactly.

For fixed item features J is quadratic in w_j, so the best row is a ridge solution,

    A w = sum of c_i y_i x_i    with    A = alpha_j X'X + sum of c_i x_i x_i' + penalty I.

Training ends with these rows, new users start with them, and `explain` asks how they change without one rating.
"""

from dataclasses import replace

import numpy as np

from cofi_jobs.heads import Head
from cofi_jobs.machine import in_parallel
from cofi_jobs.model import Factors, from_newest

SMALLEST_PENALTY = 1e-6  # without any penalty A could not be inverted
BLOCK_BYTES = 4 << 20  # of the matrices A that a thread holds at once: little, so that they stay in cache


def recency_weights(user_index: np.ndarray, recency: float) -> np.ndarray:
    """c of each rating, float32: (1 for the newest of its user, 2 for the one before, ...)^-recency, of mean 1 by user.

    What a user rates next is more like what the user rated last. `user_index` is sorted, and each user's ratings are
    in order of time. With `recency = 0` all weights are 1.
    """
    counts = np.bincount(user_index)
    weights = from_newest(user_index).astype(np.float64) ** -recency
    return (weights * (counts / np.maximum(np.bincount(user_index, weights), 1))[user_index]).astype(np.float32)


def ridge_matrix(
    products: np.ndarray, gram: np.ndarray, alpha: float | np.ndarray, penalty: float | np.ndarray
) -> np.ndarray:
    """A above, of a user or of many along the first axis; `products`, the sum of c_i x_i x_i', becomes it in place."""
    products += np.multiply.outer(alpha, gram)
    diagonal = np.arange(len(gram))
    products[..., diagonal, diagonal] += np.maximum(penalty, SMALLEST_PENALTY)
    return products


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
    ends = np.concatenate([[0], np.cumsum(counts)])
    rows = np.empty((n_users, features.shape[1]), np.float32)

    def solve_block(start: int) -> None:
        users = range(start, min(start + block, n_users))
        of_block = slice(ends[users.start], ends[users.stop])
        root = np.sqrt(recency_weights(user_index[of_block] - start, head.recency))
        rated_items, target = item_index[of_block], root * y[of_block]
        products, right = np.empty((len(users), *gram.shape)), np.empty((len(users), len(gram), 1))
        for row, j in enumerate(users):
            own = slice(ends[j] - ends[start], ends[j + 1] - ends[start])
            rated = features[rated_items[own]]
            rated *= root[own, None]
            products[row] = rated.T @ rated
            right[row, :, 0] = target[own] @ rated
        own_rows = slice(users.start, users.stop)
        A = ridge_matrix(products, gram, alpha[own_rows], penalty[own_rows])
        rows[own_rows] = np.linalg.solve(A, right)[:, :, 0]

    block = max(1, min(1024, BLOCK_BYTES // gram.nbytes))
    for _ in in_parallel(solve_block, range(0, n_users, block)):
        pass
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
