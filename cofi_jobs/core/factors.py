"""What the job learns: the factors of one model, and the ratings or scores that they predict."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale


@dataclass(frozen=True)
class Factors:
    """Parameters of one model, float32.

    Shapes: `X` (n_items, n_factors), `W` (n_users, n_factors), `b` (n_users,), `prior`
    (n_factors,): what the rows of W are drawn towards, None: 0.
    """

    X: np.ndarray
    W: np.ndarray
    b: np.ndarray
    prior: np.ndarray | None = None


@dataclass(frozen=True)
class UserParameters:
    """What one model learned of neighbouring users, float32."""

    W: np.ndarray  # (n_users, n_factors)
    b: np.ndarray  # (n_users,)
    counts: np.ndarray  # (n_users,) number of ratings of each


@dataclass(frozen=True)
class RatingModel:
    """The factors of a rating model and the means of items that it adds to."""

    factors: Factors
    means: np.ndarray  # (n_items,)

    def predicted(self, user_index: np.ndarray, item_index: np.ndarray, scale: Scale) -> np.ndarray:
        """Predicted ratings of pairs of row numbers, clipped to the scale."""
        return scale.clip(predict(self.factors, user_index, item_index) + self.means[item_index])


@dataclass(frozen=True)
class StoredModel:
    """A rating model and a ranking model as `train` stored them, with the ids of their rows."""

    user_id: pa.Array
    item_id: pa.Array
    rating: Factors | None  # None in a store of events
    ranking: Factors
    means: np.ndarray  # (n_items,) damped mean ratings, which the rating model starts from

    def predicted_ratings(
        self, user_index: np.ndarray, item_index: np.ndarray, scale: Scale | None
    ) -> np.ndarray:
        """Predicted ratings of pairs of row numbers, clipped to the scale; NaN without one."""
        if scale is None or self.rating is None:
            return np.full(len(user_index), np.nan, np.float32)
        return RatingModel(self.rating, self.means).predicted(user_index, item_index, scale)


@dataclass(frozen=True)
class ItemFactors:
    """All items with their factors, in the order of their row numbers."""

    item_id: pa.Array
    rating: np.ndarray | None  # X of the rating model; None in a store of events
    ranking: np.ndarray  # X of the ranking model
    means: np.ndarray
    n_ratings: np.ndarray
    prior: np.ndarray | None = None  # that of the ranking model


@dataclass(frozen=True)
class UserBlock:
    """Some users with their factors and their ratings."""

    user_id: pa.Array
    rating: np.ndarray | None  # W of the rating model; None in a store of events
    ranking: np.ndarray  # W of the ranking model
    bias: np.ndarray
    ratings: Ratings  # sorted by user; `user_index` is the user's row in the block


def initial_factors(n_items: int, n_users: int, n_factors: int, seed: int) -> Factors:
    """Seeded normal numbers of standard deviation 0.1 / sqrt(n_factors); `b` starts at zero."""
    rng = np.random.default_rng(seed)
    std = np.float32(0.1 / np.sqrt(n_factors))
    X, W = (std * rng.standard_normal((n, n_factors), dtype=np.float32) for n in (n_items, n_users))
    return Factors(X, W, np.zeros(n_users, np.float32))


def of_items(X: np.ndarray, prior: np.ndarray | None = None) -> Factors:
    """What a fit with exact users learns and goes on from: W and b have no rows."""
    return Factors(X, np.empty((0, X.shape[1]), np.float32), np.empty(0, np.float32), prior)


def predict(factors: Factors, user_index: np.ndarray, item_index: np.ndarray) -> np.ndarray:
    """w_j.x_i + b_j for pairs of row numbers, float32; in blocks that stay in cache."""
    scores = np.empty(len(user_index), np.float32)
    block = 1 << 14
    for start in range(0, len(scores), block):
        users, items = user_index[start : start + block], item_index[start : start + block]
        products = np.einsum("nk,nk->n", factors.W[users], factors.X[items])
        scores[start : start + block] = products + factors.b[users]
    return scores


def row_numbers(ids: pa.Array, earlier: pa.Array) -> np.ndarray:
    """Each id's row number among the ids of an earlier model, -1 for a new id."""
    return np.array(pc.index_in(ids, value_set=earlier).fill_null(-1), np.int64)
