"""Means over any number of users, in bounded memory: users are put together in cells."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cofi_jobs.evaluation.metrics import Mean

CELLS = 20_000
AT_ONCE = 1 << 16  # users whose cells are drawn together, however few of them are asked for


def number_of_cells(n_users: int) -> int:
    """How many cells so many users are put into."""
    return min(n_users, CELLS)


def cells_of(users: np.ndarray, n_users: int, seed: int) -> np.ndarray:
    """The cell of each of some users, by their row numbers among all `n_users`, which are sorted.

    Each user has a cell of its own where there are enough, else one that is drawn at random, always
    the same one.
    """
    if n_users <= CELLS:
        return users
    cells, drawn_at_once = np.empty(len(users), np.int64), users // AT_ONCE
    for number in np.unique(drawn_at_once):
        here = slice(*np.searchsorted(drawn_at_once, [number, number + 1]))
        drawn = np.random.default_rng([seed, number]).integers(CELLS, size=AT_ONCE)
        cells[here] = drawn[users[here] - number * AT_ONCE]
    return cells


@dataclass(frozen=True)
class CellMean:
    """A mean over users as sums over cells, and what else is told of the users."""

    cells: Mean
    n_users: int  # that the mean is over
    squares: float  # sum over users of the squared denominators
    lowest: float  # of the means of single users
    highest: float

    @classmethod
    def of(cls, mean: Mean, cell: np.ndarray, n_cells: int) -> "CellMean":
        """From a mean over users, by the cell (n_users,) of each."""
        values = mean.values()
        return cls(
            mean.by(cell, n_cells),
            int(np.count_nonzero(mean.denominator)),
            float((mean.denominator**2).sum()),
            float(np.fmin.reduce(values, initial=np.inf)),
            float(np.fmax.reduce(values, initial=-np.inf)),
        )

    def __add__(self, other: "CellMean") -> "CellMean":
        """The mean over these users and those of `other`."""
        return CellMean(
            self.cells + other.cells,
            self.n_users + other.n_users,
            self.squares + other.squares,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
        )

    def value(self) -> float | None:
        """The mean; None over nothing."""
        return self.cells.value()

    def effective_users(self) -> float:
        """How many users of equal weight would tell as much (Kish 1965); 0 over nothing.

        That is (sum of d)^2 / sum of d^2 for denominators d. A user with 3,000 ratings beside 79
        with one makes the RMSE of, in effect, one user.
        """
        total = float(self.cells.denominator.sum())
        return total**2 / self.squares if self.squares else 0.0


# model -> measure -> mean over users; of events no model of ratings is there
Means = Mapping[str, Mapping[str, CellMean]]


def in_cells(mean: Mean, seed: int) -> CellMean:
    """A mean over all users at once, each of whom is a row of it."""
    n = len(mean.denominator)
    return CellMean.of(mean, cells_of(np.arange(n), n, seed), number_of_cells(n))
