"""Measures of users put together in sums whose size does not depend on how many users there are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cofi_jobs.core.arrays import Part
from cofi_jobs.evaluation.cells import CellMean, Means, cells_of, number_of_cells
from cofi_jobs.evaluation.groups import Activity
from cofi_jobs.evaluation.metrics import Mean

One = TypeVar("One")
Other = TypeVar("Other")

# model -> measure -> mean, as `Means`, whose rows are at hand
Measures = Mapping[str, Mapping[str, Mean]]


@dataclass(frozen=True)
class UserGroups:
    """In which sums some users are."""

    cell: np.ndarray  # (n,)
    n_cells: int
    activity: np.ndarray  # (n,) numbers of groups, see `groups.Activity`
    n_activities: int
    compared: np.ndarray  # (n,) mask: on whom the published run can be measured as well

    @classmethod
    def of(
        cls,
        users: np.ndarray,
        n_users: int,
        seed: int,
        activity: Activity,
        counts: tuple[np.ndarray, np.ndarray],
        compared: np.ndarray,
    ) -> "UserGroups":
        """Of some of all `n_users`, by their sorted row numbers.

        `counts` are their numbers of train ratings and of test ratings.
        """
        cells = cells_of(users, n_users, seed), number_of_cells(n_users)
        return cls(*cells, activity.group(*counts), activity.n_groups, compared)


@dataclass(frozen=True)
class UserSums:
    """Sums over users of their measures."""

    means: Means
    by_activity: Measures  # over groups of users
    compared: Means  # those of which there are `published` ones, over the same users as these
    published: Means  # those of the published model; empty without one

    @classmethod
    def of(cls, measures: Measures, published: Measures, groups: UserGroups) -> "UserSums":
        """From the measures of users; those of the published model are of users compared alone."""

        def in_cells(mean: Mean) -> CellMean:
            return CellMean.of(mean, groups.cell, groups.n_cells)

        ours = {
            model: {name: measures[model][name].of(groups.compared) for name in of_model}
            for model, of_model in published.items()
        }
        theirs = _each(published, lambda mean: mean.of(groups.compared))
        return cls(
            _each(measures, in_cells),
            _each(measures, lambda mean: mean.by(groups.activity, groups.n_activities)),
            _each(ours, in_cells),
            _each(theirs, in_cells),
        )

    def __add__(self, other: "UserSums") -> "UserSums":
        """The sums over these users and those of `other`."""
        return UserSums(
            _added(self.means, other.means),
            _added(self.by_activity, other.by_activity),
            _added(self.compared, other.compared),
            _added(self.published, other.published),
        )

    def beside(self, other: "UserSums") -> "UserSums":
        """These and those of `other`, which are of other models."""
        return UserSums(
            {**self.means, **other.means},
            {**self.by_activity, **other.by_activity},
            {**self.compared, **other.compared},
            {**self.published, **other.published},
        )


def _each(
    measures: Mapping[str, Mapping[str, One]], change: Callable[[One], Other]
) -> dict[str, dict[str, Other]]:
    return {
        model: {name: change(mean) for name, mean in of_model.items()}
        for model, of_model in measures.items()
    }


def _added(
    one: Mapping[str, Mapping[str, Part]], other: Mapping[str, Mapping[str, Part]]
) -> dict[str, dict[str, Part]]:
    return {
        model: {name: mean + other[model][name] for name, mean in of_model.items()}
        for model, of_model in one.items()
    }
