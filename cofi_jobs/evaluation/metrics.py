"""Means over users that can be taken of some of them only, and errors of predicted ratings."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.arrays import tally
from cofi_jobs.core.ratings import Ratings

LOWER_IS_BETTER = ("rmse", "mae", "similarity")


def lower_is_better(measure: str) -> bool:
    """Whether smaller values of a measure, such as "rmse" or "ndcg@10", are better."""
    return measure.partition("@")[0] in LOWER_IS_BETTER


@dataclass(frozen=True)
class Mean:
    """A mean over users (or items) as a ratio of two sums over them, each (n_users,).

    With `root` the square root of the ratio is taken: the mean was of squares.
    """

    numerator: np.ndarray
    denominator: np.ndarray
    root: bool = False

    def of(self, users: np.ndarray) -> "Mean":
        """The same over some users only, by a mask."""
        return Mean(
            np.where(users, self.numerator, 0), np.where(users, self.denominator, 0), self.root
        )

    def with_sums_of(self, other: "Mean") -> "Mean":
        """The mean over the same rows, of whose sums `other` has another part."""
        return Mean(
            self.numerator + other.numerator, self.denominator + other.denominator, self.root
        )

    def __add__(self, other: "Mean") -> "Mean":
        """The mean over these users and those of `other`, which follow them."""
        return Mean(
            np.concatenate([self.numerator, other.numerator]),
            np.concatenate([self.denominator, other.denominator]),
            self.root,
        )

    def n_users(self) -> int:
        """How many users the mean is over."""
        return int(np.count_nonzero(self.denominator))

    def effective_users(self) -> float:
        """How many users of equal weight would tell as much (Kish 1965); 0 over nothing.

        That is (sum of d)^2 / sum of d^2 for denominators d. A user with 3,000 ratings beside 79
        with one makes the RMSE of, in effect, one user.
        """
        squares = float((self.denominator**2).sum())
        return float(self.denominator.sum()) ** 2 / squares if squares else 0.0

    def value(self) -> float | None:
        """The mean; None over nothing."""
        return finite(self.ratio(self.numerator.sum(), self.denominator.sum()))

    def ratio(self, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
        """The mean for other sums over users; NaN over nothing."""
        result = np.full(np.shape(denominator), np.nan)
        np.divide(numerator, denominator, out=result, where=denominator > 0)
        return np.sqrt(result) if self.root else result


def mean_of(values: np.ndarray) -> Mean:
    """The plain mean over the users who have a value that is not NaN."""
    measured = np.isfinite(values)
    return Mean(np.where(measured, values, 0), measured.astype(float))


def errors(predicted: np.ndarray, test: Ratings) -> dict[str, Mean]:
    """RMSE and MAE over test ratings, in units of the rating, as sums over each user's ratings."""
    return errors_of_rows(predicted, test.rating, test.user_index, test.n_users)


def errors_of_rows(
    predicted: np.ndarray, rating: np.ndarray, index: np.ndarray, n: int
) -> dict[str, Mean]:
    """RMSE and MAE as sums over the ratings of each of n rows, users or items, by row number."""
    error = predicted.astype(np.float64) - rating
    counts = tally(index, n).astype(float)
    return {
        "rmse": Mean(tally(index, n, error**2), counts, root=True),
        "mae": Mean(tally(index, n, np.abs(error)), counts),
    }


def finite(value: float | np.ndarray) -> float | None:
    """A number as records have it: None instead of NaN."""
    return float(value) if np.isfinite(value) else None
