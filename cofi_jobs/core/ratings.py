"""Ratings as the job computes with them: columns of one length."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cofi_jobs.core.arrays import tally, ties_among


@dataclass(frozen=True)
class Ratings:
    """Observed ratings as columns of one length, and the size of both sides.

    `tied` marks each rating that its user gave at the same time as the rating before it; ratings
    without a time count as given at the same time. Within such a tie the order says nothing. None:
    nothing is known of ties. Otherwise ratings are sorted by user, each user's newest last.

    `trust` is each user's weight in all that is learned for others (`model.trust`).
    """

    user_index: np.ndarray
    item_index: np.ndarray
    rating: np.ndarray
    n_users: int
    n_items: int
    tied: np.ndarray | None = None  # (n_ratings,) mask
    trust: np.ndarray | None = None  # (n_users,) float32; None: 1

    def trusted_counts(self) -> np.ndarray:
        """How many ratings each item has (n_items,), each as much as its user is trusted."""
        return trusted_counts(self.user_index, self.item_index, self.n_items, self.trust)

    def of_users(self, users: slice) -> "Ratings":
        """The ratings of neighbouring users, whose numbers start at 0 then; sorted by user."""
        rows = self.rows_of(users)
        return Ratings(
            self.user_index[rows] - np.int32(users.start),
            self.item_index[rows],
            self.rating[rows],
            users.stop - users.start,
            self.n_items,
            None if self.tied is None else self.tied[rows],
            None if self.trust is None else self.trust[users],
        )

    def of_some(self, users: np.ndarray) -> "Ratings":
        """The ratings of the users of a mask, whose numbers are their places among them then."""
        place, kept = np.cumsum(users, dtype=np.int32) - 1, self.where(users[self.user_index])
        return replace(
            kept,
            user_index=place[kept.user_index],
            n_users=int(np.count_nonzero(users)),
            trust=None if self.trust is None else self.trust[users],
        )

    def rows_of(self, users: slice) -> slice:
        """Where the ratings of neighbouring users stand, which are sorted by user."""
        start, stop = np.searchsorted(self.user_index, [users.start, users.stop])
        return slice(int(start), int(stop))

    def where(self, mask: np.ndarray) -> "Ratings":
        """The ratings that a mask selects; the sides keep their size."""
        columns = (self.user_index[mask], self.item_index[mask], self.rating[mask])
        tied = None if self.tied is None else ties_among(self.tied, mask)
        return Ratings(*columns, self.n_users, self.n_items, tied, self.trust)


def trusted_counts(
    user_index: np.ndarray, item_index: np.ndarray, n_items: int, trust: np.ndarray | None
) -> np.ndarray:
    """How many ratings each item has (n_items,), each as much as its user is trusted."""
    return tally(item_index, n_items, None if trust is None else trust[user_index])


def joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """A column of neighbouring users or their ratings; None where it is not known of all."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def joined_ratings(parts: Sequence[Ratings]) -> Ratings:
    """The ratings of neighbouring users, whose numbers start at 0 in each part, as those of all."""
    if len(parts) == 1:
        return parts[0]
    first_users = np.cumsum([0, *(part.n_users for part in parts)], dtype=np.int32)
    return Ratings(
        np.concatenate(
            [part.user_index + first for part, first in zip(parts, first_users[:-1], strict=True)]
        ),
        np.concatenate([part.item_index for part in parts]),
        np.concatenate([part.rating for part in parts]),
        int(first_users[-1]),
        parts[0].n_items,
        joined([part.tied for part in parts]),
        joined([part.trust for part in parts]),
    )
