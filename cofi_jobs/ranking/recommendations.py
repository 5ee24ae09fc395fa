"""A block of users' lists, with predicted ratings and reasons; and the list of popular items."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cofi_jobs.core.arrays import to_unit_length
from cofi_jobs.core.factors import Factors, ItemFactors, UserBlock, predict
from cofi_jobs.core.item_list import ItemList
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.objectives import Objective, ranking_target
from cofi_jobs.model.ridge import row_weights
from cofi_jobs.model.user_groups import alike, places
from cofi_jobs.ranking.explanations import contributions, inverse_matrices
from cofi_jobs.ranking.filters import allowed_items, first_groups, rated_enough
from cofi_jobs.ranking.rerank import choose
from cofi_jobs.ranking.top_k import top_k
from cofi_jobs.settings.fields import Settings


@dataclass(frozen=True)
class Candidates:
    """All items, as every block of users needs them."""

    items: ItemFactors
    gram: np.ndarray  # X'X of the ranking model
    unit: np.ndarray  # X of the ranking model, each row of length 1
    excluded: np.ndarray  # rows of items that are never shown
    groups: np.ndarray | None

    @classmethod
    def of(
        cls,
        items: ItemFactors,
        lists: Iterable[ItemList],
        group_names: pa.ChunkedArray,
        settings: Settings,
    ) -> "Candidates":
        """The items, and which of them the operator's lists and the settings let be shown.

        `group_names` are the items' groups as in the catalogue. Raises DataError if no item may be
        shown.
        """
        allowed = allowed_items(items.item_id, lists)
        shown = rated_enough(allowed, items.n_ratings, settings.min_item_ratings)
        groups = first_groups(group_names) if settings.max_per_group else None
        X = items.ranking
        return cls(items, X.T @ X, to_unit_length(X), np.flatnonzero(~shown), groups)


@dataclass(frozen=True)
class Recommendations:
    """Places in the lists of a block of users, by user and rank: columns of one length."""

    user: np.ndarray  # row in the block
    rank: np.ndarray  # int32, 1 is best
    item: np.ndarray  # row number
    score: np.ndarray
    predicted_rating: np.ndarray  # float32, clipped to the scale; NaN without one
    reason: np.ndarray  # row number of the item that contributed most, -1 for none


def recommend(
    users: UserBlock,
    candidates: Candidates,
    objective: Objective,
    settings: Settings,
    scale: Scale | None,
    relevant_from: float,
) -> Recommendations:
    """The lists of a block of users. `objective` is that of the ranking model."""
    items, ratings = candidates.items, users.ratings
    scores = users.ranking @ items.ranking.T
    scores[:, candidates.excluded] = -np.inf
    scores[ratings.user_index, ratings.item_index] = -np.inf
    rerank = (candidates.groups, settings.max_per_group, settings.diversity)
    best, values = choose(scores, settings.top_n, candidates.unit, *rerank)
    y, relevant = (
        ranking_target(ratings.rating, scale, objective.zero),
        ratings.rating >= relevant_from,
    )
    reason = reasons(users, candidates, best, objective, y, relevant)
    keep = np.isfinite(values)  # a user who has rated nearly everything gets a shorter list
    user, place = np.nonzero(keep)
    item = best[keep]
    return Recommendations(
        user,
        (place + 1).astype(np.int32),
        item,
        values[keep],
        _predicted_ratings(items, users, scale, user, item),
        reason[keep],
    )


def _predicted_ratings(
    items: ItemFactors, users: UserBlock, scale: Scale | None, user: np.ndarray, item: np.ndarray
) -> np.ndarray:
    """Predicted ratings of pairs of rows, float32; NaN for events."""
    if scale is None or items.rating is None or users.rating is None:
        return np.full(len(user), np.nan, np.float32)
    rating_model = Factors(items.rating, users.rating, users.bias)
    predicted = predict(rating_model, user, item) + items.means[item]
    return scale.clip(predicted).astype(np.float32)


def reasons(
    users: UserBlock,
    candidates: Candidates,
    best: np.ndarray,
    objective: Objective,
    y: np.ndarray,
    relevant: np.ndarray,
) -> np.ndarray:
    """For each recommended item the relevant item without which its score would fall most.

    `best` (n_users, k) are the recommended items; `y` and the mask `relevant` (n_ratings,) belong
    to the users' ratings. Returns the shape of `best`, -1 where no relevant item lifts the score.
    """
    X, user, n_users = candidates.items.ranking, users.ratings.user_index, len(best)
    result, counts = np.full(best.shape, -1, np.int32), np.bincount(user, minlength=n_users)
    alpha, penalty = objective.alphas(counts, len(X)), objective.row_penalties(counts, len(X))
    # The last one is no rating: it fills short users up.
    rated, y = np.append(users.ratings.item_index, 0), np.append(y, np.float32(0))
    confidence = objective.confidence(users.ratings.rating)
    weights = row_weights(counts, objective.recency, confidence, users.ratings.tied)
    weights = np.append(weights, np.float32(0))
    relevant_ends = np.append(0, np.cumsum(np.bincount(user[relevant], minlength=n_users)))
    relevant_place = np.append(np.flatnonzero(relevant), len(relevant))

    def ratings(place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return X.take(rated.take(place), axis=0), y.take(place), weights.take(place)

    with_ratings = np.flatnonzero(counts)
    for group, place in alike(counts, with_ratings[np.argsort(counts[with_ratings])]):
        rated_by_group, _, weights_of_group = ratings(place)
        A_inverse = inverse_matrices(
            rated_by_group, weights_of_group, candidates.gram, alpha[group], penalty[group]
        )
        of_relevant = relevant_place.take(places(relevant_ends, group))
        lift = contributions(
            A_inverse, users.ranking[group], *ratings(of_relevant), X.take(best[group], axis=0)
        )
        strongest = lift.argmax(axis=1)
        lifts = np.take_along_axis(lift, strongest[:, None], axis=1)[:, 0] > 0
        item = np.take_along_axis(rated.take(of_relevant), strongest, axis=1)
        result[group] = np.where(lifts, item, -1)
    return result


def most_liked(likes: np.ndarray, excluded: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The items that most users like, the best first, and their numbers of users.

    `likes` (n_items,), float, is changed; rows in `excluded` are never given.
    """
    likes[excluded] = -np.inf
    best, values = top_k(likes[None, :], min(n, len(likes) - len(excluded)))
    return best[0], values[0]
