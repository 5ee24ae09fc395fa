"""The rows of any users in both models of a run, as training ends with."""

import numpy as np
import pyarrow as pa

from cofi_jobs.core.factors import Factors, ItemFactors, UserBlock
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.item_means import mean_normalised
from cofi_jobs.model.objectives import (
    ranking_objective,
    ranking_target,
    rating_objective,
    rating_target,
    to_stars,
)
from cofi_jobs.model.row_solver import RowSolver
from cofi_jobs.model.user_ratings import by_user
from cofi_jobs.settings.fields import Settings


class UserRows:
    """Solves users' rows for the item factors of a run; `settings` are those it learned with.

    Threads may share one.
    """

    def __init__(self, items: ItemFactors, settings: Settings, scale: Scale | None) -> None:
        self.items, self.scale = items, scale
        ranking = ranking_objective(settings, scale)
        self.ranking = RowSolver(ranking, items.ranking, items.n_ratings, items.prior)
        self.rating = None
        if items.rating is not None:
            self.rating = RowSolver(rating_objective(settings), items.rating, items.n_ratings)

    def solve(self, user_id: pa.Array, ratings: Ratings) -> UserBlock:
        """These users with their exact rows. `ratings` are sorted by user, each user's newest last.

        The users need not be those that the run learned from.
        """
        y = ranking_target(ratings.rating, self.scale, self.ranking.objective.zero)
        W, b = self._rows(self.ranking, ratings, y)
        X = self.items.rating
        if self.rating is None or X is None or self.scale is None:
            return UserBlock(user_id, None, W, b, ratings)
        y = rating_target(mean_normalised(ratings, self.items.means), self.scale)
        rating = to_stars(Factors(X, *self._rows(self.rating, ratings, y)), self.scale)
        return UserBlock(user_id, rating.W, W, rating.b, ratings)

    def _rows(
        self, solver: RowSolver, ratings: Ratings, y: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        columns = ratings.user_index, ratings.item_index, y
        confidence = solver.objective.confidence(ratings.rating)
        return solver.solve(by_user(*columns, ratings.n_users, confidence, ratings.tied))
