"""Whether the split into train and test ratings is one in time, at random, or a mixture."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from cofi_jobs.core.arrays import tally
from cofi_jobs.core.ratings import Ratings

# Share of the test ratings, mean over users, that may be drawn before a warning.
MUCH_DRAWN = 0.1

Kind = Literal["by time", "at random", "mixed"]


@dataclass(frozen=True)
class SplitOrder:
    """How much of a split rests on times, over the users who have test ratings."""

    users: int
    users_divided: int  # the line between train and test ratings lies within equal times
    users_unordered: int  # all ratings have equal times, or none
    share_drawn: float  # of a user's test ratings, mean over users

    def __add__(self, other: "SplitOrder") -> "SplitOrder":
        """That of both groups of users."""
        n = self.users + other.users
        drawn = self.users * self.share_drawn + other.users * other.share_drawn
        return SplitOrder(
            n,
            self.users_divided + other.users_divided,
            self.users_unordered + other.users_unordered,
            drawn / n,
        )

    @property
    def kind(self) -> Kind:
        """What to call the split."""
        if not self.users_divided:
            return "by time"
        return "at random" if self.users_unordered == self.users else "mixed"

    @property
    def little_order(self) -> bool:
        """Whether too many test ratings were drawn to measure what users do next."""
        return self.share_drawn >= MUCH_DRAWN

    def to_record(self) -> dict[str, Any]:
        """As manifests have it."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "SplitOrder":
        """From what `to_record` gave."""
        return cls(**{name: record[name] for name in cls.__dataclass_fields__})

    def in_words(self) -> str:
        """What to tell people, as sentences."""
        if self.kind == "by time":
            return "The split is by time: a user's test ratings are newer than the train ratings."
        if self.kind == "at random":
            return (
                "The split is at random: no user's ratings have an order, because times are equal "
                "or missing. The measures do not show how well the models predict what comes next, "
                "and recency has no effect."
            )
        divided, unordered = self.users_divided / self.users, self.users_unordered / self.users
        text = (
            f"The split is by time as far as times go: of {divided:.1%} of the users some ratings "
            f"of equal times, or without one, are test ratings and others train ratings, by draw "
            f"({self.share_drawn:.1%} of the test ratings; {unordered:.1%} of the users have no "
            "order at all)."
        )
        if not self.little_order:
            return text
        return f"{text} For these users the measures show little of what comes next."


def split_sentences(metrics: dict[str, Any]) -> list[str]:
    """What to tell people of a run's split; nothing of runs of older versions."""
    if "split" not in metrics:
        return []
    order = SplitOrder.from_record(metrics["split"])
    return [f"Warning: {order.in_words()}" if order.little_order else order.in_words()]


def is_at_random(metrics: dict[str, Any]) -> bool:
    """Whether no user's ratings have an order in time, as far as a run's metrics tell."""
    return "split" in metrics and SplitOrder.from_record(metrics["split"]).kind == "at random"


def order_of_split(ratings: Ratings, is_test: np.ndarray) -> SplitOrder | None:
    """How much of a split rests on times; `is_test` marks the test ratings, each user's last.

    None if it is not known which times are equal, or if there are no test ratings.
    """
    if ratings.tied is None or not is_test.any():
        return None
    n_test = tally(ratings.user_index[is_test], ratings.n_users)
    measured = np.flatnonzero(n_test)
    n_test = n_test[measured]
    first = np.cumsum(n_test) - n_test
    # The tie on the line ends at the user's first test rating that is not tied to the one before.
    tied = ratings.tied[is_test]
    ends = np.append(np.flatnonzero(~tied), len(tied))
    n_drawn = np.minimum(ends[np.searchsorted(ends, first)] - first, n_test)
    n_ratings = tally(ratings.user_index, ratings.n_users)
    n_tied = tally(ratings.user_index[ratings.tied], ratings.n_users)
    return SplitOrder(
        users=len(measured),
        users_divided=int(np.count_nonzero(n_drawn)),
        users_unordered=int(np.count_nonzero((n_tied == n_ratings - 1)[measured])),
        share_drawn=float((n_drawn / n_test).mean()),
    )
