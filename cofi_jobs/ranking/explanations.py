"""Why an item is recommended: what each rating contributes to a score of the ranking model."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.model.objectives import Objective
from cofi_jobs.model.ridge import recency_weights, ridge_matrix

SMALL = 8  # rows of a matrix that LAPACK inverts


def solved(
    rated: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    gram: np.ndarray,
    alpha: np.ndarray,
    penalty: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The inverses of A (u, n_features, n_features) and the rows w (u, n_features) of `user_rows`, of u users.

    Shapes: of n ratings each, which may be filled up with zeros, `rated` (u, n, n_features), `y` and `weights`, c,
    (u, n); `alpha` and `penalty` (u,); `gram` = X'X of all items.
    """
    root = np.sqrt(weights)[..., None]
    vectors = root * rated
    turned = vectors.transpose(0, 2, 1)
    A_inverse = inverse(ridge_matrix(turned @ vectors, gram, alpha, penalty[:, None]))
    return A_inverse, (A_inverse @ (turned @ (root * y[..., None])))[..., 0]


def contributions(
    A_inverse: np.ndarray,
    w: np.ndarray,
    rated: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    candidates: np.ndarray,
) -> np.ndarray:
    """By how much each candidate's score falls when one rating is taken away and the user's row is solved again.

    Taking rating i away lowers A by c_i x_i x_i', and Sherman and Morrison's formula gives the new row without solving
    again. `A_inverse` and `w` are those of all of a user's ratings (`solved`); `rated`, `y` and `weights`, with shapes
    as there, are of those that are asked about, `candidates` (u, m, n_features). Returns (u, n, m).
    """
    by_rated = rated @ A_inverse
    leverage = weights * np.einsum("unk,unk->un", by_rated, rated)
    residual = weights * (y - (rated @ w[..., None])[..., 0])
    falls = by_rated @ candidates.transpose(0, 2, 1)
    # A rating that alone fixes a direction has leverage 1 up to rounding.
    falls *= (residual / np.maximum(1 - leverage, 1e-6))[..., None]
    return falls


def inverse(A: np.ndarray) -> np.ndarray:
    """Inverses of symmetric positive definite matrices (u, n, n), by blocks: so most of it is products.

    The lower right block's inverse is that of Schur's complement.
    """
    n, half = A.shape[-1], A.shape[-1] // 2
    if n <= SMALL:
        return np.linalg.inv(A)
    corner, side = inverse(A[:, :half, :half]), A[:, :half, half:]
    turned = corner @ side
    rest = inverse(A[:, half:, half:] - side.transpose(0, 2, 1) @ turned)
    across = -turned @ rest
    found = np.empty_like(A)
    found[:, :half, :half] = corner - across @ turned.transpose(0, 2, 1)
    found[:, :half, half:], found[:, half:, :half] = across, across.transpose(0, 2, 1)
    found[:, half:, half:] = rest
    return found


@dataclass(frozen=True)
class Explanation:
    """Where an item stands for a user, and why."""

    score: float
    rank: int  # among all items that the user has not rated; 1 is best
    n_unrated: int
    falls: np.ndarray  # (n,) by how much the score would fall without each of the user's ratings


def explain(
    objective: Objective, X: np.ndarray, w: np.ndarray, rated: np.ndarray, y: np.ndarray, item: int
) -> Explanation:
    """Explain the score of an item, a row of `X`, that the user has not rated.

    `w` (n_features,) is the user's row; `rated` and `y` (n,) are the user's ratings in order of time. Of equal scores
    the lower row stands first.
    """
    scores = X @ w
    unrated = np.ones(len(X), bool)
    unrated[rated] = False
    counts = np.array([len(rated)])
    own = X[rated][None], y[None], recency_weights(counts, objective.recency)[None]
    row = solved(*own, X.T @ X, objective.alphas(counts, len(X)), objective.penalties(counts))
    falls = contributions(*row, *own, X[None, [item]])[0, :, 0]
    before = (scores > scores[item]) | ((scores == scores[item]) & (np.arange(len(X)) < item))
    return Explanation(
        float(scores[item]), 1 + int((before & unrated).sum()), int(unrated.sum()), falls
    )


def shares(falls: np.ndarray) -> np.ndarray:
    """Each fall as a share of all that speaks for the item: the positive ones add up to 1, negative speak against."""
    total = falls[falls > 0].sum()
    return falls / total if total > 0 else np.zeros_like(falls)
