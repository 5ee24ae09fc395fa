"""The rating scale of a store."""

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
