"""Why an item is recommended: what each rating contributes to a score of the ranking head."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.heads import Head
from cofi_jobs.user_rows import recency_weights, ridge_matrix


def contributions(
    rated: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    candidates: np.ndarray,
    gram: np.ndarray,
    alpha: float,
    penalty: float,
) -> np.ndarray:
    """By how much each candidate's score falls when one rating is taken away and the user's row is solved again.

    The row is that of `user_rows`: A w = sum of c_i y_i x_i. Taking rating i away lowers A by c_i x_i x_i', and Sherman
    and Morrison's formula gives the new row without solving again. Shapes: `rated` (n, n_features), `y` and `weights`,
    c, (n,), `candidates` (m, n_features), `gram` = X'X of all items; returns (n, m).
    """
    root = np.sqrt(weights)
    rated, y = root[:, None] * rated, root * y
    A = ridge_matrix(rated.T @ rated, gram, alpha, penalty)
    by_rated = rated @ np.linalg.inv(A)
    leverage = np.einsum("nk,nk->n", by_rated, rated)
    residual = y - rated @ (y @ by_rated)
    # A rating that alone fixes a direction has leverage 1 up to rounding.
    return (residual / np.maximum(1 - leverage, 1e-6))[:, None] * (by_rated @ candidates.T)


def user_contributions(
    head: Head, X: np.ndarray, gram: np.ndarray, rated: np.ndarray, y: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """`contributions` of one user's ratings in order of time; `rated` (n,) and `candidates` (m,) are rows of `X`."""
    counts, weights = np.array([len(rated)]), recency_weights(np.zeros(len(rated), np.int32), head.recency)
    alpha, penalty = head.alphas(counts, len(X))[0], head.penalties(counts)[0]
    return contributions(X[rated], y, weights, X[candidates], gram, alpha, penalty)


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
    before = (scores > scores[item]) | ((scores == scores[item]) & (np.arange(len(X)) < item))
    falls = user_contributions(head, X, X.T @ X, rated, y, np.array([item]))[:, 0]
    return Explanation(float(scores[item]), 1 + int((before & unrated).sum()), int(unrated.sum()), falls)


def shares(falls: np.ndarray) -> np.ndarray:
    """Each fall as a share of all that speaks for the item: the positive ones add up to 1, negative speak against."""
    total = falls[falls > 0].sum()
    return falls / total if total > 0 else np.zeros_like(falls)
