"""The rating scale of a store.

A store of events (likes, clicks, plays, purchases) has none. Its scale is None, wherever a function
takes a scale; what differs between the two kinds of store follows from that.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Scale(NamedTuple):
    """The lowest and the highest rating that a user can give."""

    low: float
    high: float

    @property
    def unit(self) -> float:
        """A quarter of the scale, so that a penalty means the same on every scale; 1 for 1 to 5."""
        return (self.high - self.low) / 4

    @property
    def relevant_from(self) -> float:
        """The rating from which an item counts as relevant by default: three quarters up."""
        return self.low + 0.75 * (self.high - self.low)

    def clip(self, ratings: np.ndarray) -> np.ndarray:
        """Predicted ratings, those outside the scale moved to its nearer end."""
        return np.clip(ratings, self.low, self.high)


def scale_of(ends: Sequence[float] | None) -> Scale | None:
    """The scale as records keep it, its two ends; None in a store of events."""
    return None if ends is None else Scale(*ends)
