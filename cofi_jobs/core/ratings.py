"""Ratings as the job computes with them: columns of one length."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ratings:
    """Observed ratings as three columns of one length, and the size of both sides."""

    user_index: np.ndarray
    item_index: np.ndarray
    rating: np.ndarray
    n_users: int
    n_items: int

    def where(self, mask: np.ndarray) -> "Ratings":
        """The ratings that a mask selects; the sides keep their size."""
        columns = (self.user_index[mask], self.item_index[mask], self.rating[mask])
        return Ratings(*columns, self.n_users, self.n_items)
