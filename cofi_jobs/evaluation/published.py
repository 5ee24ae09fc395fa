"""The holdout model of the published run, measured on this run's test ratings."""

from dataclasses import dataclass

import numpy as np

from cofi_jobs.core.factors import StoredModel, row_numbers
from cofi_jobs.evaluation.comparison import RANKING, RATING, Means
from cofi_jobs.evaluation.metrics import errors
from cofi_jobs.evaluation.neighbours import model_neighbours
from cofi_jobs.evaluation.ranking_metrics import rank
from cofi_jobs.evaluation.similar_items import SIMILAR_HIT_RATE, Successions, hit_rates
from cofi_jobs.evaluation.split import Split
from cofi_jobs.settings.fields import Settings


@dataclass(frozen=True)
class PublishedModel:
    """The holdout model of the published run, and what it must not be measured on."""

    run_key: str
    model: StoredModel
    seen: np.ndarray  # mask of the test ratings that the model learned from


@dataclass(frozen=True)
class PublishedMeasures:
    """Its measures, over the users on whom both runs can be measured."""

    means: Means
    compared: np.ndarray  # (n_users,) mask of these users


def measure_published(
    split: Split,
    model: StoredModel,
    published: PublishedModel,
    settings: Settings,
    successions: Successions,
) -> PublishedMeasures:
    """Measure the published model; its rows are found by the ids of `model`, this run's.

    Left out are users whom the published model does not know, and users of whom it saw a test
    rating: one that came late or was changed. Items that it does not know get the mean of its items
    and are never ranked.
    """
    users = row_numbers(model.user_id, published.model.user_id)
    items = row_numbers(model.item_id, published.model.item_id)
    seen_users = split.test.user_index[published.seen]
    compared = (users >= 0) & ~np.isin(np.arange(len(users)), seen_users)
    W, X = published.model.ranking.W, published.model.ranking.X
    X = np.where(items[:, None] >= 0, X[items], 0)

    def scores(block: np.ndarray) -> np.ndarray:
        result = np.where(users[block, None] >= 0, W[users[block]], 0) @ X.T
        result[:, items < 0] = -np.inf
        return result

    measured, depths = np.flatnonzero(split.measured), (settings.ndcg_at, settings.recall_at)
    lists = rank(scores, split.train, split.relevant, model.ranking.X, *depths, measured)
    evidence = split.train.trusted_counts() * (items >= 0)
    similar = model_neighbours(X, evidence, settings.recall_at, settings.similarity)
    rates = hit_rates(similar, successions, split.train.n_users)
    means = {RANKING: lists.with_measure(SIMILAR_HIT_RATE, rates).means()}
    if split.scale is not None:
        means[RATING] = errors(_predicted(split, published.model, users, items), split.test)
    return PublishedMeasures(
        {
            name: {measure: mean.of(compared) for measure, mean in of_model.items()}
            for name, of_model in means.items()
        },
        compared,
    )


def _predicted(
    split: Split, published: StoredModel, users: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """Its predictions for the test ratings; `users` and `items` are row numbers in it, or -1."""
    rows, columns = users[split.test.user_index], items[split.test.item_index]
    both = (rows >= 0) & (columns >= 0)
    predicted = np.full(len(rows), published.means.mean(dtype=np.float64))
    predicted[columns >= 0] = published.means[columns[columns >= 0]]
    predicted[both] = published.predicted_ratings(rows[both], columns[both], split.scale)
    return predicted
