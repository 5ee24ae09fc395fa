"""Why an item is recommended: what each rating contributes to a score of the ranking model."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.factors import StoredModel
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.objectives import Objective, ranking_target
from cofi_jobs.model.ridge import ridge_matrix, row_weights

SMALL = 8  # rows of a matrix that LAPACK inverts


def inverse_matrices(
    rated: np.ndarray,
    weights: np.ndarray,
    gram: np.ndarray,
    alpha: np.ndarray,
    penalty: np.ndarray,
) -> np.ndarray:
    """The inverses of A of u users, as `model.ridge` defines A, (u, n_factors, n_factors).

    Each user has n ratings, which may be filled up with zeros. Shapes: `rated` (u, n, n_factors);
    `weights`, c, (u, n); `alpha` and `penalty` (u,); `gram` = X'X of all items.
    """
    vectors = np.sqrt(weights)[..., None] * rated
    products = vectors.transpose(0, 2, 1) @ vectors
    return inverse(ridge_matrix(products, gram, alpha, penalty[:, None]))


def contributions(
    A_inverse: np.ndarray,
    w: np.ndarray,
    rated: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    candidates: np.ndarray,
) -> np.ndarray:
    """By how much each candidate's score falls when a user's row is solved without one rating.

    Taking rating i away lowers A by c_i x_i x_i', and Sherman and Morrison's formula gives the new
    row without solving again. `A_inverse` and `w` are those of all of a user's ratings;
    `rated` (u, n, n_factors), `y` and `weights` (u, n) are those of the n ratings that are asked
    about; `candidates` (u, m, n_factors). Returns (u, n, m).
    """
    by_rated = rated @ A_inverse
    leverage = weights * np.einsum("unk,unk->un", by_rated, rated)
    residual = weights * (y - (rated @ w[..., None])[..., 0])
    falls = by_rated @ candidates.transpose(0, 2, 1)
    # A rating that alone fixes a direction has leverage 1 up to rounding.
    falls *= (residual / np.maximum(1 - leverage, 1e-6))[..., None]
    return falls


def inverse(A: np.ndarray) -> np.ndarray:
    """Inverses of symmetric positive definite matrices (u, n, n), by blocks.

    Most of the work is products of matrices, which are fast. The inverse's lower right block is the
    inverse of Schur's complement.
    """
    n, half = A.shape[-1], A.shape[-1] // 2
    if n <= SMALL:
        return np.linalg.inv(A)
    corner, side = inverse(A[:, :half, :half]), A[:, :half, half:]
    product = corner @ side
    rest = inverse(A[:, half:, half:] - side.transpose(0, 2, 1) @ product)
    across = -product @ rest
    result = np.empty_like(A)
    result[:, :half, :half] = corner - across @ product.transpose(0, 2, 1)
    result[:, :half, half:], result[:, half:, :half] = across, across.transpose(0, 2, 1)
    result[:, half:, half:] = rest
    return result


@dataclass(frozen=True)
class Standing:
    """Where an item stands for a user by its score, and what each rating adds to that."""

    score: float
    rank: int  # among all items that the user has not rated; 1 is best
    n_unrated: int
    falls: np.ndarray  # (n,) by how much the score would fall without each of the user's ratings


@dataclass(frozen=True)
class Explanation:
    """All that is said of an item for a user."""

    score: float
    rank: int  # among all items that the user has not rated; 1 is best
    n_unrated: int
    predicted_rating: float  # clipped to the scale; NaN without one
    shares: np.ndarray  # (n,) of each of the user's ratings, see `shares`


def explain(
    model: StoredModel,
    objective: Objective,
    rated: np.ndarray,
    ratings: np.ndarray,
    item: int,
    scale: Scale | None,
    tied: np.ndarray | None = None,
) -> Explanation:
    """Explain an item, a row number, that a user has not rated.

    `model` holds all items and this user alone, `objective` is that of the ranking model. `rated`
    (n,) are the row numbers of the items that the user has rated, in order of time, and `ratings`
    (n,) what the user gave them; `tied` (n,) marks equal times, as in `Ratings`.
    """
    y = ranking_target(ratings, scale, objective.zero)
    confidence = objective.confidence(ratings)
    row = model.ranking.W[0]
    standing = standing_of(objective, model.ranking.X, row, rated, y, item, confidence, tied)
    [predicted] = model.predicted_ratings(np.array([0]), np.array([item]), scale)
    return Explanation(
        standing.score,
        standing.rank,
        standing.n_unrated,
        float(predicted),
        shares(standing.falls),
    )


def standing_of(
    objective: Objective,
    X: np.ndarray,
    w: np.ndarray,
    rated: np.ndarray,
    y: np.ndarray,
    item: int,
    confidence: np.ndarray | None = None,
    tied: np.ndarray | None = None,
) -> Standing:
    """Where an item, a row of `X`, stands for a user who has not rated it.

    `w` (n_factors,) is the user's row; `rated`, `y`, `confidence` and `tied` (n,) are the user's
    ratings in order of time. Of equal scores the lower row stands first.
    """
    scores = X @ w
    unrated = np.ones(len(X), bool)
    unrated[rated] = False
    counts = np.array([len(rated)])
    weights = row_weights(counts, objective.recency, confidence, tied)
    alpha, penalty = objective.alphas(counts, len(X)), objective.row_penalties(counts, len(X))
    vectors, c = X[rated][None], weights[None]
    A_inverse = inverse_matrices(vectors, c, X.T @ X, alpha, penalty)
    [falls] = contributions(A_inverse, w[None], vectors, y[None], c, X[None, [item]])[..., 0]
    before = (scores > scores[item]) | ((scores == scores[item]) & (np.arange(len(X)) < item))
    rank = 1 + int((before & unrated).sum())
    return Standing(float(scores[item]), rank, int(unrated.sum()), falls)


def shares(falls: np.ndarray) -> np.ndarray:
    """Each fall as a share of all that speaks for the item.

    The positive shares add up to 1; negative ones speak against the item.
    """
    total = falls[falls > 0].sum()
    return falls / total if total > 0 else np.zeros_like(falls)
