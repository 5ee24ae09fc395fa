"""The best row of a user, exactly.

For fixed item factors X, J is quadratic in w_j. So its minimum is the solution of a ridge
regression (Hu, Koren, Volinsky 2008, ICDM, equation 4):

    A w = sum of c_i y_i x_i + prior_penalty prior
    with  A = alpha_j X'X + sum of c_i x_i x_i' + (penalty + prior_penalty) I,

with sums over the items i that the user has rated. `ridge_solution` is that definition, which only
tests call. Training solves many users at once (`row_solver`), and `explain` asks how a row changes
without one rating. These two raise tiny penalties first (`floored_penalty`).
"""

import numpy as np

from cofi_jobs.core.arrays import from_newest, means_of_ties

# The smallest penalty, as a share of the trace of a user's products: without it A may be singular.
SMALLEST_PENALTY = 1e-6


def ridge_solution(
    rated: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    gram: np.ndarray,
    alpha: float,
    penalty: float | np.ndarray,
    prior_penalty: float | np.ndarray = 0.0,
    prior: np.ndarray | float = 0.0,
) -> np.ndarray:
    """The row w (k,) of one user.

    Shapes: of the user's n ratings, `rated` (n, k) the rows of X, `y` and `weights`, which is c,
    (n,); `gram` (k, k) is X'X of all items; `penalty` is one number, or one for each factor (k,);
    `prior` (k,).
    """
    diagonal = (penalty + prior_penalty) * np.eye(len(gram))
    A = alpha * gram + rated.T @ (weights[:, None] * rated) + diagonal
    right = rated.T @ (weights * y) + prior_penalty * np.broadcast_to(prior, len(gram))
    return np.linalg.solve(A, right)


def recency_weights(
    counts: np.ndarray, recency: float, tied: np.ndarray | None = None
) -> np.ndarray:
    """c of each rating, float32: (1 for its user's newest, 2 for the one before, ...)^-recency.

    They are scaled to a mean of 1 for each user. The newest weigh most because what a user rates
    next is more like what the user rated last. Users have `counts` ratings, as in
    `from_newest`. Ratings of equal times, as `Ratings.tied` marks them, share their weights: a
    user's whose times are all equal are all 1. With `recency = 0` all weights are 1.
    """
    if not recency:
        return np.ones(counts.sum(), np.float32)
    powers = np.arange(1.0, counts.max(initial=0) + 1) ** -recency
    scale = counts / np.maximum(np.append(0, np.cumsum(powers))[counts], 1)
    weights = powers.take(from_newest(counts) - 1) * np.repeat(scale, counts)
    if tied is not None and tied.any():
        weights = means_of_ties(weights, tied)
    return weights.astype(np.float32)


def row_weights(
    counts: np.ndarray,
    recency: float,
    confidence: np.ndarray | None = None,
    tied: np.ndarray | None = None,
) -> np.ndarray:
    """c of each rating in its user's exact row: the recency weights times c of J, if given."""
    weights = recency_weights(counts, recency, tied)
    return weights if confidence is None else weights * confidence


def ridge_matrix(
    products: np.ndarray, gram: np.ndarray, alpha: np.ndarray, penalty: np.ndarray
) -> np.ndarray:
    """A of u users; `products` (u, k, k), the sums of c_i x_i x_i', become A in place.

    Shapes: `gram` (k, k), `alpha` (u,), `penalty` (u, k) or (u, 1).
    """
    penalty = floored_penalty(penalty, products)
    if np.any(alpha):
        products += np.multiply.outer(alpha, gram)
    diagonal = np.arange(len(gram))
    products[:, diagonal, diagonal] += penalty
    return products


def floored_penalty(penalty: np.ndarray, products: np.ndarray) -> np.ndarray:
    """The penalties (u, k) or (u, 1), raised to what float32 can tell from rounding errors.

    `products` (u, k, k) are what the penalties are added to.
    """
    traces = np.trace(products, axis1=1, axis2=2)[:, None]
    return np.maximum(penalty, (SMALLEST_PENALTY * np.maximum(1, traces)).astype(products.dtype))
