"""A user's row of J, exactly.

For fixed item features J is quadratic in w_j, so the best row is a ridge solution,

    A w = sum of c_i y_i x_i    with    A = alpha_j X'X + sum of c_i x_i x_i' + penalty I.

Each step of training sets its users' rows so, and `explain` asks how a row changes without one rating. Users with
about as many ratings have similar A, so conjugate gradients with the inverse of the mean of them take few steps.
"""

from collections.abc import Iterator

import numpy as np

from cofi_jobs.core.arrays import from_newest
from cofi_jobs.core.machine import in_parallel
from cofi_jobs.model.objectives import Objective

SMALLEST_PENALTY = (
    1e-6  # by the trace of a user's products: without any penalty A could not be inverted
)
USERS_AT_ONCE, RATINGS_AT_ONCE = (
    1024,
    4096,
)  # that a thread works on: few, so that they stay in cache
LEAST_PARTS = 4  # of few users, so that no thread waits long for another
SOLVED_AT_ONCE = (
    256  # users whose matrices A are held: many enough that Python's share of the time is small
)
CLOSE, MOST_STEPS = (
    1e-6,
    200,
)  # conjugate gradients end where the residual is this share of the first one
LEAST = 64  # as if each user had so many ratings at least: a matrix A takes memory, too


def recency_weights(counts: np.ndarray, recency: float) -> np.ndarray:
    """c of each rating, float32: (1 for the newest of its user, 2 for the one before, ...)^-recency, of mean 1 by user.

    What a user rates next is more like what the user rated last. Users have `counts` ratings, as in `from_newest`. With
    `recency = 0` all weights are 1.
    """
    if not recency:
        return np.ones(counts.sum(), np.float32)
    powers = np.arange(1.0, counts.max(initial=0) + 1) ** -recency
    scale = counts / np.maximum(np.append(0, np.cumsum(powers))[counts], 1)
    return (powers.take(from_newest(counts) - 1) * np.repeat(scale, counts)).astype(np.float32)


def ridge_matrix(
    products: np.ndarray, gram: np.ndarray, alpha: np.ndarray, penalty: np.ndarray
) -> np.ndarray:
    """A above, of u users; `products` (u, k, k), the sums of c_i x_i x_i', become it in place.

    Shapes: `gram` (k, k), `alpha` (u,), `penalty` (u, k) or (u, 1).
    """
    penalty = sufficient(penalty, products)
    if np.any(alpha):
        products += np.multiply.outer(alpha, gram)
    diagonal = np.arange(len(gram))
    products[:, diagonal, diagonal] += penalty
    return products


def sufficient(penalty: np.ndarray, products: np.ndarray) -> np.ndarray:
    """The penalties (u, k) or (u, 1), but none so small that float32 cannot tell it from rounding in `products`."""
    traces = np.trace(products, axis1=1, axis2=2)[:, None]
    return np.maximum(penalty, (SMALLEST_PENALTY * np.maximum(1, traces)).astype(products.dtype))


class Solver:
    """What exact rows of users need of one X. `item_counts` (n_items,): how often each item is rated."""

    def __init__(self, objective: Objective, X: np.ndarray, item_counts: np.ndarray) -> None:
        # b_j is one more feature, that is 1 for every item. The last row is no item: it fills short users up.
        parts = [X, np.ones((len(X), 1), X.dtype)] if objective.bias else [X]
        self.objective, self.n_items = objective, len(X)
        self.features = np.vstack(
            [np.hstack(parts), np.zeros((1, X.shape[1] + objective.bias), X.dtype)]
        )
        self.gram = self.features.T @ self.features
        shares = np.append(item_counts / max(1, item_counts.sum()), 0).astype(X.dtype)
        self.of_a_rating = (
            self.features.T * shares
        ) @ self.features  # the mean of x_i x_i' over all ratings

    def solve(
        self, counts: np.ndarray, item_index: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """W (n_users, n_features) and b (n_users,), float32: J's minimum for this X, the ratings weighted by recency.

        The users have `counts` ratings, as in `from_newest`. They are dealt out to threads.
        """
        n_users = len(counts)
        size = min(USERS_AT_ONCE, -(-n_users // LEAST_PARTS))
        ends = np.append(0, np.cumsum(counts))

        def block(start: int) -> tuple[np.ndarray, np.ndarray]:
            some = counts[start : start + size]
            own = slice(ends[start], ends[start + len(some)])
            return self.rows(some, item_index[own], y[own])

        W, b = zip(*in_parallel(block, range(0, n_users, size)), strict=True)
        return np.concatenate(W), np.concatenate(b)

    def rows(
        self, counts: np.ndarray, item_index: np.ndarray, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `solve`, in the calling thread."""
        n_features, n_users = self.features.shape[1], len(counts)
        root = np.sqrt(recency_weights(counts, self.objective.recency))
        target = np.append(root * y, 0).astype(np.float32)
        root, items = np.append(root, np.float32(0)), np.append(item_index, self.n_items)
        alpha, penalty = (
            self.objective.alphas(counts, self.n_items),
            np.tile(self.objective.penalties(counts), (n_features, 1)).T,
        )
        if self.objective.bias:
            penalty[:, -1] = self.objective.bias_lambda
        rows = np.empty((n_users, n_features), np.float32)
        products, right = (
            np.empty((SOLVED_AT_ONCE, n_features, n_features), np.float32),
            np.empty_like(rows),
        )
        order = np.argsort(counts, kind="stable")
        for users in np.split(order, range(SOLVED_AT_ONCE, n_users, SOLVED_AT_ONCE)):
            done = 0
            for group, filled in alike(counts, users):
                rated = self.features.take(items.take(filled), axis=0)  # faster than by brackets
                if self.objective.recency:
                    rated *= root.take(filled)[..., None]
                turned = rated.transpose(0, 2, 1)
                np.matmul(turned, rated, out=products[done : done + len(group)])
                right[group] = (turned @ target.take(filled)[..., None])[..., 0]
                done += len(group)
            own, of_users = products[:done], sufficient(penalty[users], products[:done])
            usual = counts[users].mean() * self.of_a_rating + alpha[users].mean() * self.gram
            inverse = np.linalg.inv(usual + np.diag(of_users.mean(axis=0))).astype(np.float32)
            rows[users] = _conjugate_gradients(
                own, alpha[users, None], self.gram, of_users, right[users], inverse
            )
        return (
            (rows[:, :-1], rows[:, -1])
            if self.objective.bias
            else (rows, np.zeros(n_users, np.float32))
        )


def _conjugate_gradients(
    products: np.ndarray,
    alpha: np.ndarray,
    gram: np.ndarray,
    penalty: np.ndarray,
    residual: np.ndarray,
    inverse: np.ndarray,
) -> np.ndarray:
    """Rows w (u, k) of A w = residual for u users at once (Hestenes & Stiefel 1952).

    A is `products` (u, k, k) + `alpha` (u, 1) * `gram` (k, k) + the diagonal `penalty` (u, k); `inverse` (k, k) is near
    the inverses of all of them.
    """
    w, step = np.zeros_like(residual), residual @ inverse
    left = _dots(residual, step)
    enough = CLOSE**2 * left
    for _ in range(MOST_STEPS):
        far = left > enough
        if not far.any():
            break
        product = (products @ step[..., None])[..., 0] + penalty * step
        if alpha.any():
            product += alpha * (step @ gram)
        curvature = _dots(step, product)
        # A row that is close enough stays as it is: more steps would follow rounding, where the curvature may be 0.
        length = np.divide(left, curvature, out=np.zeros_like(left), where=far & (curvature > 0))
        w += length * step
        residual -= length * product
        turned, before = residual @ inverse, left
        left = _dots(residual, turned)
        step = turned + np.divide(left, before, out=np.zeros_like(left), where=far) * step
    return w


def _dots(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.einsum("uk,uk->u", left, right)[:, None]


def alike(counts: np.ndarray, users: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Groups of users with about as many ratings, and where their ratings stand among all, which are sorted by user.

    `counts` (n_users,) are the numbers of ratings, `users` some users with ever more of them.
    """
    ends, first = np.append(0, np.cumsum(counts)), 0
    sizes = (
        counts[users].clip(LEAST).tolist()
    )  # Python's numbers are quicker in a loop, and other threads wait for it
    while first < len(users):
        last = first + 1
        while last < len(users) and (last + 1 - first) * sizes[last] <= RATINGS_AT_ONCE:
            last += 1
        group = users[first:last]
        yield group, places(ends, group)
        first = last


def places(ends: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Where ratings of some users stand among all, sorted by user: (len(users), most ratings of one of them, or 1).

    User j's are those from `ends[j]` to `ends[j + 1]`; short users are filled up with the number of all ratings, so
    that with one more row of zeros their ratings are one array.
    """
    start, n = ends[users, None], (ends[users + 1] - ends[users])[:, None]
    place = np.arange(max(1, n.max()))
    return np.where(place < n, start + place, ends[-1])
