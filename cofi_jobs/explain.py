"""Why an item is recommended: what each rating contributes to a score of the ranking head."""

import numpy as np

from cofi_jobs.user_rows import ridge_matrix


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
    A = ridge_matrix(rated, gram, alpha, penalty)
    solved = np.linalg.solve(A, np.concatenate([rated, candidates]).T)
    by_rated, by_candidate = solved[:, : len(rated)], solved[:, len(rated) :]
    leverage = np.einsum("nk,kn->n", rated, by_rated)
    residual = y - rated @ (by_rated @ y)
    # A rating that alone fixes a direction has leverage 1 up to rounding.
    return (residual / np.maximum(1 - leverage, 1e-6))[:, None] * (rated @ by_candidate)
