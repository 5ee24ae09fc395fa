"""What evaluate reads of a run and of the published one, some users at a time, on any machine."""

from dataclasses import dataclass, replace

import numpy as np

from cofi_jobs.core.factors import ItemFactors, row_numbers
from cofi_jobs.core.ratings import Ratings
from cofi_jobs.evaluation.measured_lists import MeasuredUsers
from cofi_jobs.evaluation.prediction_errors import UserBlock
from cofi_jobs.evaluation.published import PublishedModel, PublishedUsers
from cofi_jobs.evaluation.split import Split
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store.run_tables import read_item_factors, read_ranking_rows, read_rating_rows
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.holdout import holdout_folder
from cofi_jobs.tasks.run_split import EarlierSplit, EarlierUsers, Open, RunSplit, files_of


@dataclass(frozen=True)
class PublishedRun:
    """The published run, beside one of today."""

    model: PublishedModel
    open_file: Open  # of its table `trial`
    split: EarlierSplit

    @classmethod
    def of(
        cls, store: Store, last: str, run_key: str, items: ItemFactors, engine: str
    ) -> "PublishedRun | None":
        """Run `last` beside this one; None if it is older than the evaluation of runs."""
        folder = holdout_folder(store, last)
        if not folder:
            return None
        theirs = read_item_factors(folder)
        users = EarlierUsers(files_of(store, run_key, engine), files_of(store, last, engine))
        items_now = row_numbers(theirs.item_id, items.item_id)
        return cls(
            PublishedModel(last, theirs, row_numbers(items.item_id, theirs.item_id)),
            files_of(store, last, engine, "trial"),
            EarlierSplit.of(store, last, users.rows, items_now, engine),
        )

    def ranking_rows(self, users: slice, measured: np.ndarray) -> np.ndarray:
        """Rows in its ranking model of the users of a mask, 0 for unknown ones."""
        before = self.split.users(users)[measured]
        there = _between(before)
        return _spread(read_ranking_rows(self.open_file("user_factors"), there), before, there)

    def users(self, users: slice, test: Ratings) -> PublishedUsers:
        """What it has of some users, whose test ratings are given."""
        before = self.split.users(users)
        there, seen = _between(before), np.zeros(len(before), bool)
        seen[test.user_index[self.split.learned_from_rows(before, test)]] = True
        X = self.model.model.rating
        rating = read_rating_rows(self.open_file("user_factors"), there, X)
        if rating:
            W, b = (_spread(rows, before, there) for rows in (rating.W, rating.b))
            rating = replace(rating, W=W, b=b)
        return PublishedUsers(before >= 0, seen, rating)


def _between(rows: np.ndarray) -> slice:
    """The rows between those of known users, who are neighbours in every run."""
    known = rows[rows >= 0]
    return slice(int(known.min()), int(known.max()) + 1) if len(known) else slice(0, 1)


def _spread(values: np.ndarray, rows: np.ndarray, there: slice) -> np.ndarray:
    """The values of the rows `there`, for users who have these `rows`; 0 for unknown users."""
    spread = values[np.where(rows >= 0, rows - there.start, 0)]
    spread[rows < 0] = 0
    return spread


@dataclass(frozen=True)
class EvaluatedRun:
    """A run's split, its holdout model, and the published run."""

    split: RunSplit
    open_file: Open  # of the table `trial`
    items: ItemFactors  # of the holdout model
    published: PublishedRun | None

    @classmethod
    def of(
        cls, store: Store, run_key: str, last: str | None, split_by: Settings, engine: str
    ) -> "EvaluatedRun":
        """A run, split with the settings of `train`, beside the published run `last`."""
        items = read_item_factors(store.checked_table(run_key, "trial"))
        return cls(
            RunSplit.of(store, run_key, split_by, engine),
            files_of(store, run_key, engine, "trial"),
            items,
            PublishedRun.of(store, last, run_key, items, engine) if last else None,
        )

    def measured(self, users: slice, measured: np.ndarray, relevant_from: float) -> MeasuredUsers:
        """The split of some users, and the rows of those whose lists are measured, by a mask."""
        rows = np.flatnonzero(measured) + users.start
        there = _between(rows)
        W = _spread(read_ranking_rows(self.open_file("user_factors"), there), rows, there)
        published = self.published.ranking_rows(users, measured) if self.published else None
        split = Split.of(*self.split.read(users), measured, relevant_from)
        return MeasuredUsers(split, W, published)

    def users(self, users: slice) -> UserBlock:
        """What errors of predictions need of some users."""
        ratings, is_test = self.split.read(users)
        train, test = ratings.where(~is_test), ratings.where(is_test)
        rating = read_rating_rows(self.open_file("user_factors"), users, self.items.rating)
        published = self.published.users(users, test) if self.published else None
        return UserBlock(train, test, rating, published)
