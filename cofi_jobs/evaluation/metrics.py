"""Means as two sums over users, which can be put together, and errors of predicted ratings."""

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
    """A mean over users, items, or groups of them, as a ratio of two sums over these rows, (n,).

    With `root` the square root of the ratio is taken: the mean was of squares.
    """

    numerator: np.ndarray
    denominator: np.ndarray
    root: bool = False

    def of(self, rows: np.ndarray) -> "Mean":
        """The same over some rows only, by a mask."""
        return Mean(
            np.where(rows, self.numerator, 0), np.where(rows, self.denominator, 0), self.root
        )

    def by(self, group: np.ndarray, n_groups: int) -> "Mean":
        """The sums over the rows of each group, by the group (n,) of each row."""
        numerator, denominator = (
            np.bincount(group, values, minlength=n_groups)
            for values in (self.numerator, self.denominator)
        )
        return Mean(numerator, denominator, self.root)

    def __add__(self, other: "Mean") -> "Mean":
        """The mean over the same rows, of whose sums `other` has another part."""
        return Mean(
            self.numerator + other.numerator, self.denominator + other.denominator, self.root
        )

    def value(self) -> float | None:
        """The mean; None over nothing."""
        return finite(self.ratio(self.numerator.sum(), self.denominator.sum()))

    def values(self) -> np.ndarray:
        """The mean of each row; NaN over nothing."""
        return self.ratio(self.numerator, self.denominator)

    def ratio(self, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
        """The mean for other sums; NaN over nothing."""
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
