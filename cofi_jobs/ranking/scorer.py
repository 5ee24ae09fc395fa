"""Lists of single users by any ratings of theirs, from the model of one run."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cofi_jobs.core.factors import ItemFactors
from cofi_jobs.core.item_list import ItemList
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.core.scale import Scale
from cofi_jobs.model.user_rows import UserRows
from cofi_jobs.ranking.recommendations import Candidates, recommend
from cofi_jobs.settings.fields import Settings


@dataclass(frozen=True)
class Recommendation:
    """A place in a user's list: a row of the table `recommendations`, with titles.

    `score` is of the ranking model; in the list of popular items, how many users liked the item.
    """

    item_id: int | str
    rank: int  # 1 is best
    score: float
    predicted_rating: float | None  # None for events and for popular items
    because_item_id: int | str | None  # the liked item that contributed most; None without one
    title: str | None
    because_title: str | None


@dataclass(frozen=True)
class Places:
    """Places in one list, columns of one length."""

    item: np.ndarray  # row numbers
    score: np.ndarray
    predicted_rating: np.ndarray  # NaN without one
    reason: np.ndarray  # row numbers, -1 without one


class Scorer:
    """All of a run that a list needs, in memory. Threads may share one.

    `titles` and `group_names` are the items' as in the catalogue, `lists` are the operator's.
    Raises DataError if no item may be shown.
    """

    def __init__(
        self,
        items: ItemFactors,
        titles: pa.ChunkedArray,
        group_names: pa.ChunkedArray,
        lists: Iterable[ItemList],
        settings: Settings,
        scale: Scale | None,
        liked_from: float,
    ) -> None:
        self.items, self.titles = items, titles.combine_chunks()
        self.settings, self.scale, self.liked_from = settings, scale, liked_from
        self.candidates = Candidates.of(items, lists, group_names, settings)
        self.rows = UserRows(items, settings, scale)
        self.row_of = {item: row for row, item in enumerate(items.item_id.to_pylist())}

    def recommend(
        self, item_index: np.ndarray, rating: np.ndarray, tied: np.ndarray, n: int
    ) -> list[Recommendation]:
        """The n best items for a user who gave these ratings (n_ratings,), in order of time.

        `tied` (n_ratings,) is as in `core.ratings.Ratings`.
        """
        user = np.zeros(len(item_index), np.int32)
        ratings = Ratings(user, item_index, rating, 1, len(self.items.item_id), tied)
        lists = recommend(
            self.rows.solve(pa.nulls(1), ratings),
            self.candidates,
            self.rows.ranking.objective,
            self.settings.model_copy(update={"top_n": n}),
            self.scale,
            self.liked_from,
        )
        return self._named(Places(lists.item, lists.score, lists.predicted_rating, lists.reason))

    def popular(self, item: np.ndarray, likes: np.ndarray, n: int) -> list[Recommendation]:
        """The first n of the popular items (row numbers) that may be shown; `likes` as given."""
        shown = np.flatnonzero(~np.isin(item, self.candidates.excluded))[:n]
        nothing = np.full(len(shown), np.nan), np.full(len(shown), -1)
        return self._named(Places(item[shown], likes[shown], *nothing))

    def _named(self, places: Places) -> list[Recommendation]:
        """The places in order, with ids and titles for row numbers."""
        item = pa.array(places.item, pa.int32())
        reason = pa.array(places.reason, pa.int32(), mask=places.reason < 0)
        rated = pa.array(places.predicted_rating, pa.float32(), from_pandas=True)  # NaN: null
        columns = (
            self.items.item_id.take(item).to_pylist(),
            range(1, len(item) + 1),
            places.score.tolist(),
            rated.to_pylist(),
            self.items.item_id.take(reason).to_pylist(),
            self.titles.take(item).to_pylist(),
            self.titles.take(reason).to_pylist(),
        )
        return [Recommendation(*row) for row in zip(*columns, strict=True)]
