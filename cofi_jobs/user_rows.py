"""A user's row of J, exactly.

For fixed item features J is quadratic in w_j, so the best row is a ridge solution,

    A w = sum of c_i y_i x_i    with    A = alpha_j X'X + sum of c_i x_i x_i' + penalty I.

Each step of training sets its users' rows so, and `explain` asks how a row changes without one rating.
"""

from collections.abc import Iterator

import numpy as np

from cofi_jobs.heads import Head
from cofi_jobs.machine import in_parallel
from cofi_jobs.model import from_newest, tally

SMALLEST_PENALTY = 1e-6  # without any penalty A could not be inverted
USERS_AT_ONCE, RATINGS_AT_ONCE = 1024, 4096  # that a thread works on: few, so that they stay in cache
LEAST = 64  # as if each user had so many ratings at least: a matrix A takes memory, too


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
    if np.any(alpha):
        products += np.multiply.outer(alpha, gram)
    diagonal = np.arange(len(gram))
    products[..., diagonal, diagonal] += np.maximum(penalty, SMALLEST_PENALTY)
    return products


def solve(
    head: Head, X: np.ndarray, user_index: np.ndarray, item_index: np.ndarray, y: np.ndarray, n_users: int
) -> tuple[np.ndarray, np.ndarray]:
    """W (n_users, n_features) and b (n_users,), float32: J's minimum for these `X`, the ratings weighted by recency.

    The ratings are sorted by user, each user's in order of time.
    """
    solver, ends = Solver(head, X), np.concatenate([[0], np.cumsum(tally(user_index, n_users))])

    def solve_block(start: int) -> tuple[np.ndarray, np.ndarray]:
        own = slice(ends[start], ends[min(start + USERS_AT_ONCE, n_users)])
        size = min(USERS_AT_ONCE, n_users - start)
        return solver.rows(user_index[own] - start, item_index[own], y[own], size)

    blocks = list(in_parallel(solve_block, range(0, n_users, USERS_AT_ONCE)))
    return np.concatenate([W for W, _ in blocks]), np.concatenate([b for _, b in blocks])


class Solver:
    """Exact rows of users for one X, in the calling thread."""

    def __init__(self, head: Head, X: np.ndarray) -> None:
        # b_j is one more feature, that is 1 for every item. The last row is no item: it fills short users up.
        parts = [X, np.ones((len(X), 1), X.dtype)] if head.bias else [X]
        self.head, self.n_items = head, len(X)
        self.features = np.vstack([np.hstack(parts), np.zeros((1, X.shape[1] + head.bias), X.dtype)])
        self.gram = self.features.T @ self.features

    def rows(
        self, user_index: np.ndarray, item_index: np.ndarray, y: np.ndarray, n_users: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `solve`, of some users that are numbered from 0 on."""
        n_features, counts = self.features.shape[1], np.bincount(user_index, minlength=n_users)
        starts = np.cumsum(counts) - counts
        root = np.sqrt(recency_weights(user_index, self.head.recency))
        target = np.append(root * y, 0).astype(np.float32)
        root, items = np.append(root, np.float32(0)), np.append(item_index, self.n_items)
        alpha, penalty = self.head.alphas(counts, self.n_items), np.tile(self.head.penalties(counts), (n_features, 1)).T
        if self.head.bias:
            penalty[:, -1] = self.head.bias_lambda
        rows = np.empty((n_users, n_features), np.float32)
        for users in _alike(counts):
            place = np.arange(counts[users[-1]])
            filled = np.where(place < counts[users, None], starts[users, None] + place, len(item_index))
            rated = self.features[items[filled]]
            rated *= root[filled][..., None]
            turned = rated.transpose(0, 2, 1)
            A = ridge_matrix((turned @ rated).astype(np.float64), self.gram, alpha[users], penalty[users])
            rows[users] = np.linalg.solve(A, turned @ target[filled][..., None])[:, :, 0]
        return (rows[:, :-1], rows[:, -1]) if self.head.bias else (rows, np.zeros(n_users, np.float32))


def _alike(counts: np.ndarray) -> Iterator[np.ndarray]:
    """Groups of users with about as many ratings, the most last: filled up to the same length they are one array."""
    order, first = np.argsort(counts, kind="stable"), 0
    while first < len(order):
        last = first + 1
        while last < len(order) and (last + 1 - first) * max(counts[order[last]], LEAST) <= RATINGS_AT_ONCE:
            last += 1
        yield order[first:last]
        first = last
