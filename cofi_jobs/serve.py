"""Recommend between two nights: lists by ratings that came since, for a web service.

The public module for services, as `cofi_jobs.read` is for programs that read tables. It imports
neither TensorFlow nor pandas. A list is what a run with these ratings would publish, if it
kept the item factors. docs/serving.md says more, with an example.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from cofi_jobs.core.arrays import ties_among
from cofi_jobs.core.errors import CofiError, DamageError, DataError
from cofi_jobs.core.machine import one_blas_thread
from cofi_jobs.core.scale import scale_of
from cofi_jobs.evaluation.split_order import is_at_random
from cofi_jobs.ranking.new_ratings import checked_ratings, in_time, with_new
from cofi_jobs.ranking.scorer import Recommendation, Scorer
from cofi_jobs.settings.resolve import from_record
from cofi_jobs.store.item_lists import read_item_lists
from cofi_jobs.store.open import open_store
from cofi_jobs.store.reader import ArrowRun, current_run
from cofi_jobs.store.run_tables import item_factors
from cofi_jobs.store.store import Store

__all__ = ["Recommendation", "Recommender", "recommend_for"]

log = logging.getLogger(__name__)

NewRatings = Mapping[int | str, float | None]  # by item_id; None withdraws
Times = Sequence[float | str | datetime]  # all of one type
SHARED_AT_MOST = 4  # stores whose models `recommend_for` keeps in memory
SHOWN_IDS = 5  # of unknown items, in a message
RETRY_SECONDS = 10  # until a run that could not be loaded is tried again


class Recommender:
    """Recommends from the run that readers use now, whose model it keeps in memory.

    Each call reads the store's CURRENT.json first, and loads the run if it is another one. With
    `check_seconds` it does so at most once in so many seconds: for a store in a bucket. While one
    thread loads, others go on with the run before. If the new run cannot be loaded, a warning says
    so, and the run before stays. From then on, BLAS has one thread in this process: a service has
    threads of its own, and the matrices of one user are small.

    `options` are fsspec's for a store in a bucket, as in `cofi_jobs.read`. Raises StoreError if the
    store has no published run.
    """

    def __init__(
        self,
        store: Store | Path | str,
        options: dict[str, Any] | None = None,
        check_seconds: float = 0.0,
    ) -> None:
        self.store = store if isinstance(store, Store) else open_store(store, options)
        self.check_seconds = check_seconds
        one_blas_thread()
        self._loading = threading.Lock()
        self._run = _load_current(self.store)
        self._next_look = time.monotonic() + check_seconds

    @property
    def run_key(self) -> str:
        """Key of the run that is in memory."""
        return self._run.key

    def refresh(self) -> str:
        """Load the run that readers use now, if it is another one; returns its key."""
        with self._loading:
            self._next_look = time.monotonic() + self.check_seconds
            if self.store.current() != self._run.key:
                self._run = _load_current(self.store)
            return self._run.key

    def recommend_for(
        self,
        ratings: NewRatings,
        n: int | None = None,
        user_id: int | str | None = None,
        times: Times | None = None,
        ignore_unknown: bool = False,
    ) -> list[Recommendation]:
        """The n best items for a user who gave these `ratings` ({item_id: rating}) since the run.

        They are in order of time, or have `times`, one for each, where equal times say that there
        is no order. All are newer than what the run has. They come on top of what the run has of
        the user `user_id`: a rating replaces the one of the same item, a count of events
        adds to it, None withdraws it. A user without any rating gets the popular items. n is the
        run's `top_n` by default. Ids may be text, as in `cofi_jobs.read`.

        Raises DataError for an item that the run does not know, unless `ignore_unknown`, and for a
        rating outside the scale; StoreError for text where all ids are integers.
        """
        self._check()
        try:
            return self._run.recommend_for(ratings, n, user_id, times, ignore_unknown)
        except (OSError, DamageError):
            # The run was removed, or a user erased, while the user's ratings were read. Or they are
            # damaged: then readers may have been given another run.
            self.refresh()
            return self._run.recommend_for(ratings, n, user_id, times, ignore_unknown)

    def _check(self) -> None:
        """`refresh` if it is time to; if another thread is at it, go on with what there is."""
        if time.monotonic() < self._next_look or self._loading.locked():
            return
        try:
            self.refresh()
        except Exception:  # whatever is wrong with the new run, the one in memory is whole
            self._next_look = time.monotonic() + max(self.check_seconds, RETRY_SECONDS)
            log.warning("still recommending from run %s", self._run.key, exc_info=True)


def recommend_for(
    store: Store | Path | str,
    ratings: NewRatings,
    n: int | None = None,
    user_id: int | str | None = None,
    times: Times | None = None,
    ignore_unknown: bool = False,
    options: dict[str, Any] | None = None,
) -> list[Recommendation]:
    """`Recommender.recommend_for` in one call. The models of the last few stores stay in memory."""
    opened = store if isinstance(store, Store) else open_store(store, options)
    recommender = _shared(opened, f"{opened.location} {options}")
    return recommender.recommend_for(ratings, n, user_id, times, ignore_unknown)


_recommenders: dict[str, Recommender] = {}  # the last used last
_sharing = threading.Lock()


def _shared(store: Store, key: str) -> Recommender:
    """The same recommender for the same key, as long as it is among the last used."""
    with _sharing:
        known = key in _recommenders
        _recommenders[key] = _recommenders.pop(key) if known else Recommender(store)
        while len(_recommenders) > SHARED_AT_MOST:
            del _recommenders[next(iter(_recommenders))]
        return _recommenders[key]


class _LoadedRun:
    """A published run; its model is in memory, users' ratings are read when they are asked for."""

    def __init__(self, run: ArrowRun) -> None:
        self.run, self.key = run, run.key
        items, manifest = run.items(), run.manifest
        self.scale = scale_of(manifest["scale"])
        self.settings = from_record(manifest["settings"])
        self.no_order = is_at_random(manifest["metrics"])
        self.scorer = Scorer(
            item_factors(run.item_factors()),
            items["title"],
            items["groups"],
            read_item_lists(run.store),
            self.settings,
            self.scale,
            manifest["liked_from"],
        )
        popular = run.popular_items()
        rows = [self.scorer.row_of[item] for item in popular["item_id"].to_pylist()]
        self.popular = np.array(rows, np.int32), popular["score"].to_numpy()

    def recommend_for(
        self,
        ratings: NewRatings,
        n: int | None,
        user_id: int | str | None,
        times: Times | None,
        ignore_unknown: bool,
    ) -> list[Recommendation]:
        n = self.settings.top_n if n is None else _checked_n(n)
        new = self._checked(ratings, times, ignore_unknown)
        items, stars, tied = with_new(*self._ratings_of(user_id), *new, self.scale)
        if self.no_order:  # then a run would have no times of the new ratings either
            tied = np.arange(len(items)) > 0
        if len(items):
            return self.scorer.recommend(items, stars, tied, n)
        return self.scorer.popular(*self.popular, n)

    def _ratings_of(self, user_id: int | str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Items (row numbers), ratings and ties of a user in the run, the oldest first."""
        if user_id is None:
            return np.array([], np.int32), np.array([], np.float32), np.array([], bool)
        rated = self.run.rated(str(user_id))[::-1]
        item_index, rating, tied = (column.to_numpy() for column in rated.columns)
        return item_index, rating, tied

    def _checked(
        self, ratings: NewRatings, times: Times | None, ignore_unknown: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Items (row numbers), ratings and ties that are new, the oldest first.

        NaN stands for a withdrawal.
        """
        if not isinstance(ratings, Mapping):
            raise DataError(
                f"found ratings of type {type(ratings).__name__}, "
                "expected a mapping of item ids to ratings"
            )
        by_id: dict[int | str, float | None] = {}
        for given, value in ratings.items():
            item_id = self.run.id_of("item_id", given)
            if item_id in by_id:
                raise DataError(f"found item {item_id} twice, expected one rating of each item")
            by_id[item_id] = value
        values = checked_ratings(by_id, self.scale)
        rows = np.array([self.scorer.row_of.get(item_id, -1) for item_id in by_id], np.int32)
        unknown = [str(item_id) for item_id, row in zip(by_id, rows, strict=True) if row < 0]
        if unknown and not ignore_unknown:
            raise DataError(
                f"found {len(unknown)} item ids that run {self.key} does not know: "
                f"{', '.join(unknown[:SHOWN_IDS])}; expected ids of its {len(self.scorer.row_of)} "
                "items, or ignore_unknown=True"
            )
        order, tied = in_time(times, len(rows))
        known = rows[order] >= 0
        return rows[order][known], values[order][known], ties_among(tied, known)


def _checked_n(n: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise DataError(f"found n = {n!r}, expected a whole number of at least 1")
    return int(n)


def _load_current(store: Store) -> _LoadedRun:
    """The run that readers use now. If it is removed while it is read, the one after it."""
    while True:
        key = store.current()
        try:
            return _LoadedRun(current_run(store, key))
        except (CofiError, OSError):
            if store.current() == key:
                raise
