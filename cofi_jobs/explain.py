"""Why an item is recommended: what each rating contributes to a score of the ranking head."""

import numpy as np


def contributions(
    rated: np.ndarray, y: np.ndarray, candidates: np.ndarray, gram: np.ndarray, alpha: float, penalty: float
) -> np.ndarray:
    """By how much each candidate's score falls when one rating is taken away and the user's row is fitted again.

    For fixed item features, J is quadratic in a user's row w, so the best row is a ridge solution:
    A w = sum of y_i x_i with A = alpha X'X + sum of x_i x_i' + penalty I. Taking rating i away lowers A by x_i x_i',
    and Sherman and Morrison's formula gives the new row without solving again. Shapes: `rated` (n, n_features), `y`
    (n,), `candidates` (m, n_features), `gram` = X'X of all items; returns (n, m).
    """
    ridge = max(penalty, 1e-6)  # without any penalty A could not be inverted
    A = alpha * gram + rated.T @ rated + ridge * np.eye(len(gram), dtype=gram.dtype)
    solved = np.linalg.solve(A, np.concatenate([rated, candidates]).T)
    by_rated, by_candidate = solved[:, : len(rated)], solved[:, len(rated) :]
    leverage = np.einsum("nk,kn->n", rated, by_rated)
    residual = y - rated @ (by_rated @ y)
    # A rating that alone fixes a direction has leverage 1 up to rounding.
    return (residual / np.maximum(1 - leverage, 1e-6))[:, None] * (rated @ by_candidate)
