"""The holdout model of the published run, measured on this run's test ratings."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.factors import Factors, ItemFactors, RatingModel
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.metrics import Mean
from cofi_jobs.evaluation.neighbours import model_neighbours
from cofi_jobs.evaluation.ranking_metrics import rank_split
from cofi_jobs.evaluation.similar_items import SIMILAR_HIT_RATE, Successions, hit_rates
from cofi_jobs.evaluation.split import Split
from cofi_jobs.settings.fields import Settings


@dataclass(frozen=True)
class PublishedUsers:
    """What the holdout model of the published run has of some users of this run."""

    known: np.ndarray  # (n_users,) mask of the users whom it knows
    # Mask of those of whom it saw a test rating, one that came late or was changed.
    seen: np.ndarray
    rating: Factors | None  # its rating model, with 0 for unknown users; of events there is none

    def compared(self) -> np.ndarray:
        """Mask of the users on whom both runs can be measured."""
        return self.known & ~self.seen


@dataclass(frozen=True)
class PublishedModel:
    """The holdout model of the published run, and where it has this run's items."""

    run_key: str
    model: ItemFactors
    items: np.ndarray  # (n_items,) row in it of each item of this run, -1: unknown

    def predicted(self, users: PublishedUsers, test: Ratings, scale: Scale) -> np.ndarray:
        """Predicted ratings for the test ratings of some users.

        A user whom it does not know gets the item's mean, an item that it does not know the mean of
        all its items.
        """
        items, means = self.items[test.item_index], self.model.means
        predicted = np.full(len(items), means.mean(dtype=np.float64))
        predicted[items >= 0] = means[items[items >= 0]]
        if users.rating:
            both = users.known[test.user_index] & (items >= 0)
            model = RatingModel(users.rating, means)
            predicted[both] = model.predicted(test.user_index[both], items[both], scale)
        return predicted

    def lists(
        self,
        split: Split,
        W: np.ndarray,
        vectors: np.ndarray,
        settings: Settings,
        successions: Successions,
    ) -> dict[str, Mean]:
        """Measures of its lists over the measured users, with their rows W of its ranking model.

        `vectors` (n_items, n_factors) say how similar two items are. Items that it does not know
        are never ranked.
        """
        items, counts = self.items, split.counts
        X = np.where(items[:, None] >= 0, self.model.ranking[items], 0)

        def scores(block: np.ndarray) -> np.ndarray:
            result = W[block] @ X.T
            result[:, items < 0] = -np.inf
            return result

        lists = rank_split(scores, split, vectors, settings)
        evidence = counts.item_trusted * (items >= 0)
        similar = model_neighbours(X, evidence, settings.recall_at, settings.similarity)
        rates = hit_rates(similar, successions, len(W))
        return lists.with_measure(SIMILAR_HIT_RATE, rates).means()
