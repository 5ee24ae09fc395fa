"""Why an item is recommended: what each rating contributes to a score of the ranking head."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.heads import Head
from cofi_jobs.user_rows import recency_weights, ridge_matrix

SMALL = 16  # rows of a matrix that LAPACK inverts


def contributions(
    rated: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    candidates: np.ndarray,
    gram: np.ndarray,
    alpha: np.ndarray,
    penalty: np.ndarray,
) -> np.ndarray:
    """By how much each candidate's score falls when one rating is taken away and the user's row is solved again.

    The row is that of `user_rows`: A w = sum of c_i y_i x_i. Taking rating i away lowers A by c_i x_i x_i', and Sherman
    and Morrison's formula gives the new row without solving again. Shapes, of u users with n ratings each, which may be
    filled up with zeros: `rated` (u, n, n_features), `y` and `weights`, c, (u, n), `candidates` (u, m, n_features),
    `alpha` and `penalty` (u,); `gram` = X'X of all items. Returns (u, n, m).
    """
    root = np.sqrt(weights)
    rated, y = root[..., None] * rated, root * y
    by_rated = rated @ inverse(ridge_matrix(rated.transpose(0, 2, 1) @ rated, gram, alpha, penalty[:, None]))
    leverage = np.einsum("unk,unk->un", by_rated, rated)
    w = y[:, None] @ by_rated
    residual = y - (rated @ w.transpose(0, 2, 1))[..., 0]
    # A rating that alone fixes a direction has leverage 1 up to rounding.
    return (residual / np.maximum(1 - leverage, 1e-6))[..., None] * (by_rated @ candidates.transpose(0, 2, 1))


def inverse(A: np.ndarray) -> np.ndarray:
    """Inverses of symmetric positive definite matrices (u, n, n), by blocks: so most of it is products.

    The lower right block's inverse is that of Schur's complement.
    """
    half = A.shape[-1] // 2
    if half <= SMALL // 2:
        return np.linalg.inv(A)
    corner, side = inverse(A[:, :half, :half]), A[:, :half, half:]
    turned = corner @ side
    rest = inverse(A[:, half:, half:] - side.transpose(0, 2, 1) @ turned)
    across = -turned @ rest
    top = np.concatenate([corner - across @ turned.transpose(0, 2, 1), across], axis=2)
    return np.concatenate([top, np.concatenate([across.transpose(0, 2, 1), rest], axis=2)], axis=1)


@dataclass(frozen=True)
class Explanation:
    """Where an item stands for a user, and why."""

    score: float
    rank: int  # among all items that the user has not rated; 1 is best
    n_unrated: int
    falls: np.ndarray  # (n,) by how much the score would fall without each of the user's ratings


def explain(head: Head, X: np.ndarray, w: np.ndarray, rated: np.ndarray, y: np.ndarray, item: int) -> Explanation:
    """Explain the score of an item, a row of `X`, that the user has not rated.

    `w` (n_features,) is the user's row; `rated` and `y` (n,) are the user's ratings in order of time. Of equal scores
    the lower row stands first.
    """
    scores = X @ w
    unrated = np.ones(len(X), bool)
    unrated[rated] = False
    counts, weights = np.array([len(rated)]), recency_weights(np.zeros(len(rated), np.int32), head.recency)
    weighed = head.alphas(counts, len(X)), head.penalties(counts)
    falls = contributions(X[rated][None], y[None], weights[None], X[None, [item]], X.T @ X, *weighed)[0, :, 0]
    before = (scores > scores[item]) | ((scores == scores[item]) & (np.arange(len(X)) < item))
    return Explanation(float(scores[item]), 1 + int((before & unrated).sum()), int(unrated.sum()), falls)


def shares(falls: np.ndarray) -> np.ndarray:
    """Each fall as a share of all that speaks for the item: the positive ones add up to 1, negative speak against."""
    total = falls[falls > 0].sum()
    return falls / total if total > 0 else np.zeros_like(falls)
