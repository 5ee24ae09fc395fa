"""Exact rows of many users at once: what `ridge.ridge_solution` gives for each, sooner.

Users with about as many ratings have similar matrices A. So conjugate gradients take few steps when
they are preconditioned with the inverse of the mean of these A. Blocks of users go to threads.
"""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.machine import in_parallel
from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.ridge import floored_penalty, row_weights
from cofi_jobs.model.user_groups import alike
from cofi_jobs.model.user_ratings import UserRatings

USERS_AT_ONCE = 1024  # users of a block, which one thread solves: few, so that they stay in cache
LEAST_BLOCKS = 4  # of few users, so that no thread waits long for another
LEAST_USERS = 100  # of a block where there are more: beginning one takes as long as many rows
# Users whose matrices A are held: so many that Python's share of the time is small.
SOLVED_AT_ONCE = 256
# Conjugate gradients end where the residual is this share of the first one.
CLOSE, MOST_STEPS = 1e-6, 200


class RowSolver:
    """Solves the rows of users for one X.

    `X` (n_items, n_factors); `item_counts` (n_items,): how often each item is rated; `prior`
    (n_factors,): what the rows are drawn towards, if the objective has a `prior_lambda`.
    """

    def __init__(
        self,
        objective: Objective,
        X: np.ndarray,
        item_counts: np.ndarray,
        prior: np.ndarray | None = None,
    ) -> None:
        self.objective, self.n_items = objective, len(X)
        # b_j is one more factor, which is 1 for every item. It is in no term of all pairs.
        columns = [X, np.ones((len(X), 1), X.dtype)] if objective.bias else [X]
        # The last row is no item: it pads users with few ratings.
        self.factors = np.vstack(
            [np.hstack(columns), np.zeros((1, X.shape[1] + objective.bias), X.dtype)]
        )
        self.gram = self.factors.T @ self.factors
        if objective.bias:
            self.gram[-1], self.gram[:, -1] = 0, 0
        self.prior_term = np.zeros(len(self.gram), np.float32)
        if prior is not None:
            self.prior_term[: X.shape[1]] = objective.prior_lambda * prior
        shares = np.append(item_counts / max(1, item_counts.sum()), 0).astype(X.dtype)
        # The mean of x_i x_i' over all ratings.
        self.mean_product = (self.factors.T * shares) @ self.factors

    def solve(self, ratings: UserRatings) -> tuple[np.ndarray, np.ndarray]:
        """W (n_users, n_factors) and b (n_users,), float32, that minimise J for this X.

        The ratings are weighted by confidence and recency. Users without ratings get the prior.
        """
        n_users = len(ratings.counts)
        size = min(USERS_AT_ONCE, max(LEAST_USERS, -(-n_users // LEAST_BLOCKS)))

        def block(first: int) -> np.ndarray:
            return self.rows(ratings.between(first, min(first + size, n_users)))

        run = in_parallel if n_users > size else map  # a thread costs more than the row of one user
        rows = np.concatenate(list(run(block, range(0, n_users, size))))
        if self.objective.bias:
            return rows[:, :-1], rows[:, -1]
        return rows, np.zeros(n_users, np.float32)

    def rows(self, ratings: UserRatings) -> np.ndarray:
        """The rows of a block of users, in one thread; b_j, if any, is the last column."""
        block = self._block(ratings)
        rows = np.empty((len(ratings.counts), len(self.gram)), np.float32)
        products = np.empty((SOLVED_AT_ONCE, *self.gram.shape), np.float32)
        by_count = np.argsort(ratings.counts, kind="stable")
        for first in range(0, len(by_count), SOLVED_AT_ONCE):
            users = by_count[first : first + SOLVED_AT_ONCE]
            rows[users] = self._rows_alike(block, users, products[: len(users)])
        return rows

    def _block(self, ratings: UserRatings) -> "_Block":
        counts = ratings.counts
        recency = self.objective.recency
        root = np.sqrt(row_weights(counts, recency, ratings.confidence, ratings.tied))
        penalty = self.objective.row_penalties(counts, self.n_items)
        penalty = np.tile(penalty, (len(self.gram), 1)).T
        if self.objective.bias:
            penalty[:, -1] = self.objective.bias_lambda
        return _Block(
            counts=counts,
            item_index=np.append(ratings.item_index, self.n_items),
            weighted=bool(self.objective.recency) or ratings.confidence is not None,
            root=np.append(root, np.float32(0)),
            target=np.append(root * ratings.y, 0).astype(np.float32),
            alpha=self.objective.alphas(counts, self.n_items),
            penalty=penalty,
        )

    def _rows_alike(self, block: "_Block", users: np.ndarray, products: np.ndarray) -> np.ndarray:
        """The rows of users with about as many ratings; `products` (u, k, k) is a buffer."""
        right, done = np.empty((len(users), len(self.gram)), np.float32), 0
        for group, places in alike(block.counts, users):
            part = slice(done, done + len(group))
            # `take` is faster than brackets.
            rated = self.factors.take(block.item_index.take(places), axis=0)
            if block.weighted:
                rated *= block.root.take(places)[..., None]
            transposed = rated.transpose(0, 2, 1)
            np.matmul(transposed, rated, out=products[part])
            right[part] = (transposed @ block.target.take(places)[..., None])[..., 0]
            done = part.stop
        penalty, alpha = floored_penalty(block.penalty[users], products), block.alpha[users]
        right += self.prior_term
        usual = block.counts[users].mean() * self.mean_product + alpha.mean() * self.gram
        usual += np.diag(penalty.mean(axis=0))
        inverse = np.linalg.inv(usual).astype(np.float32)
        A = RidgeMatrices(products, alpha[:, None], self.gram, penalty)
        return conjugate_gradients(A, right, inverse)


@dataclass(frozen=True)
class _Block:
    """A block of users. Its last rating is none: it pads users with few ratings."""

    counts: np.ndarray  # (n_users,)
    item_index: np.ndarray  # (n_ratings + 1,)
    weighted: bool  # whether any c is not 1
    root: np.ndarray  # (n_ratings + 1,) square root of c
    target: np.ndarray  # (n_ratings + 1,) root times y
    alpha: np.ndarray  # (n_users,)
    penalty: np.ndarray  # (n_users, k)


@dataclass(frozen=True)
class RidgeMatrices:
    """The matrices A of u users, as the parts that they are the sum of."""

    products: np.ndarray  # (u, k, k) the sums of c_i x_i x_i'
    alpha: np.ndarray  # (u, 1)
    gram: np.ndarray  # (k, k)
    penalty: np.ndarray  # (u, k) the diagonal

    def times(self, rows: np.ndarray) -> np.ndarray:
        """A w of each user, for rows w (u, k)."""
        result = (self.products @ rows[..., None])[..., 0] + self.penalty * rows
        if self.alpha.any():
            result += self.alpha * (rows @ self.gram)
        return result


def conjugate_gradients(A: RidgeMatrices, residual: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Rows w (u, k) with A w = `residual`, for u users at once (Hestenes & Stiefel 1952).

    `inverse` (k, k), the preconditioner, is near the inverses of all A. Overwrites `residual`.
    """
    w, direction = np.zeros_like(residual), residual @ inverse
    size = _dots(residual, direction)
    close = CLOSE**2 * size
    for _ in range(MOST_STEPS):
        unfinished = size > close
        if not unfinished.any():
            break
        product = A.times(direction)
        curvature = _dots(direction, product)
        # A finished row stays as it is: more steps would follow rounding errors, and the curvature
        # may be 0 there.
        moving = unfinished & (curvature > 0)
        length = np.divide(size, curvature, out=np.zeros_like(size), where=moving)
        w += length * direction
        residual -= length * product
        preconditioned, before = residual @ inverse, size
        size = _dots(residual, preconditioned)
        ratio = np.divide(size, before, out=np.zeros_like(size), where=unfinished)
        direction = preconditioned + ratio * direction
    return w


def _dots(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.einsum("uk,uk->u", first, second)[:, None]
