"""What a run costs on several machines: a model fitted to measured steps, and plans by it.

A step of training takes

    seconds = rating * ratings of the step / processors + number * n_items * n_factors + call

by machines that need no network. What the network adds is not measured here, but computed: X goes
to all machines, and the sum of the gradients back, along trees.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

STEPS_OF_ROUND = 100  # in which all ratings are used once, of many ratings (`Objective`)
BYTES = 4  # of a number


@dataclass(frozen=True)
class Step:
    """Measured steps of fits of one kind."""

    n_ratings: int  # of a step
    n_items: int
    n_factors: int
    processors: int
    seconds: float


@dataclass(frozen=True)
class StepCost:
    """Seconds of a step, by what it does."""

    rating: float  # of one processor, for a rating
    number: float  # for a number of X: the task sends it, adds gradients, and changes it
    call: float  # of any step

    @classmethod
    def fitted(cls, steps: Sequence[Step]) -> "StepCost":
        """The least squares of relative errors with no cost below 0."""
        seconds = np.array([step.seconds for step in steps])
        work = np.array([_work(s.n_ratings, s.n_items * s.n_factors, s.processors) for s in steps])
        relative = work / seconds[:, None]
        best, least = np.zeros(3), math.inf
        for n in (1, 2, 3):
            for names in map(list, combinations(range(3), n)):
                costs = np.zeros(3)
                costs[names] = np.linalg.lstsq(relative[:, names], np.ones(len(steps)))[0]
                error = float(np.square(relative @ costs - 1).sum())
                if (costs >= 0).all() and error < least:
                    best, least = costs, error
        return cls(*best.tolist())

    def seconds(self, n_ratings: float, numbers: int, processors: int) -> float:
        """Of a step of so many ratings; `numbers` are those of X."""
        return float(
            np.dot(_work(n_ratings, numbers, processors), (self.rating, self.number, self.call))
        )


def _work(n_ratings: float, numbers: int, processors: int) -> tuple[float, float, float]:
    return n_ratings / processors, numbers, 1


def network_seconds(numbers: int, machines: int, gigabits: float) -> float:
    """Of a step: X to all machines and the gradients' sum back, in a tree each."""
    hops = 2 * math.ceil(math.log2(machines)) if machines > 1 else 0
    return hops * BYTES * numbers * 8 / (gigabits * 1e9)
