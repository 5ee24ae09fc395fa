"""Ratings as the job computes with them: columns of one length."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.arrays import ties_among


@dataclass(frozen=True)
class Ratings:
    """Observed ratings as columns of one length, and the size of both sides.

    `tied` marks each rating that its user gave at the same time as the rating before it; ratings
    without a time count as given at the same time. Within such a tie the order says nothing. None:
    nothing is known of ties. Otherwise ratings are sorted by user, each user's newest last.
    """

    user_index: np.ndarray
    item_index: np.ndarray
    rating: np.ndarray
    n_users: int
    n_items: int
    tied: np.ndarray | None = None  # (n_ratings,) mask

    def where(self, mask: np.ndarray) -> "Ratings":
        """The ratings that a mask selects; the sides keep their size."""
        columns = (self.user_index[mask], self.item_index[mask], self.rating[mask])
        tied = None if self.tied is None else ties_among(self.tied, mask)
        return Ratings(*columns, self.n_users, self.n_items, tied)
