"""The holdout model of the published run, measured on this run's test ratings."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.factors import StoredModel, row_numbers
from cofi_jobs.core.scale import Scale
from cofi_jobs.evaluation.comparison import RANKING, RATING, Means
from cofi_jobs.evaluation.metrics import Mean
from cofi_jobs.evaluation.neighbours import model_neighbours
from cofi_jobs.evaluation.ranking_metrics import rank
from cofi_jobs.evaluation.similar_items import SIMILAR_HIT_RATE, Successions, hit_rates
from cofi_jobs.evaluation.split import Split
from cofi_jobs.settings.fields import Settings


@dataclass(frozen=True)
class PublishedModel:
    """The holdout model of the published run, and where it has this run's users and items."""

    run_key: str
    model: StoredModel
    users: np.ndarray  # (n_users,) row in it of each user of this run, -1: unknown
    items: np.ndarray  # (n_items,) the same of each item

    @classmethod
    def of(cls, run_key: str, published: StoredModel, model: StoredModel) -> "PublishedModel":
        """Rows are found by the ids of `model`, this run's."""
        users = row_numbers(model.user_id, published.user_id)
        return cls(run_key, published, users, row_numbers(model.item_id, published.item_id))

    def rows_of_users(self, users: slice) -> np.ndarray:
        """As `users`, of some of them."""
        return self.users[users]

    def predicted(self, user_index: np.ndarray, item_index: np.ndarray, scale: Scale) -> np.ndarray:
        """Predicted ratings of pairs of row numbers of this run.

        A user whom it does not know gets the item's mean, an item that it does not know the mean of
        all its items.
        """
        users, items, means = self.users[user_index], self.items[item_index], self.model.means
        both = (users >= 0) & (items >= 0)
        predicted = np.full(len(users), means.mean(dtype=np.float64))
        predicted[items >= 0] = means[items[items >= 0]]
        predicted[both] = self.model.predicted_ratings(users[both], items[both], scale)
        return predicted


@dataclass(frozen=True)
class PublishedMeasures:
    """Its measures, over the users on whom both runs can be measured."""

    means: Means
    compared: np.ndarray  # (n_users,) mask of these users


def measure_published(
    split: Split,
    model: StoredModel,
    published: PublishedModel,
    errors: Mapping[str, Mean],
    seen: np.ndarray,
    settings: Settings,
    successions: Successions,
) -> PublishedMeasures:
    """Measure the published model. `errors` are those of its predictions, empty for events.

    Left out are users whom the published model does not know, and users `seen` (n_users,): of whom
    it saw a test rating, one that came late or was changed. Items that it does not know are never
    ranked.
    """
    users, items = published.users, published.items
    compared = (users >= 0) & ~seen
    W, X = published.model.ranking.W, published.model.ranking.X
    X = np.where(items[:, None] >= 0, X[items], 0)

    def scores(block: np.ndarray) -> np.ndarray:
        result = np.where(users[block, None] >= 0, W[users[block]], 0) @ X.T
        result[:, items < 0] = -np.inf
        return result

    measured, depths = np.flatnonzero(split.measured), (settings.ndcg_at, settings.recall_at)
    counts = split.counts
    lists = rank(
        scores, split.train, split.relevant, model.ranking.X, *depths, measured, counts.item_train
    )
    evidence = counts.item_trusted * (items >= 0)
    similar = model_neighbours(X, evidence, settings.recall_at, settings.similarity)
    rates = hit_rates(similar, successions, len(users))
    means = {RANKING: lists.with_measure(SIMILAR_HIT_RATE, rates).means()}
    if errors:
        means[RATING] = dict(errors)
    return PublishedMeasures(
        {
            name: {measure: mean.of(compared) for measure, mean in of_model.items()}
            for name, of_model in means.items()
        },
        compared,
    )
