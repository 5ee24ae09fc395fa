"""The ways in which normalize finds the current ratings."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cofi_jobs.store import current_ratings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks import current_on_engine, normalize
from cofi_jobs.tasks.current_on_engine import CurrentOnEngine


class LocalFlow:
    """Calls in this process, at once: a place is the result itself."""

    def share(self, value: Any) -> Any:
        """As in `Flow`."""
        return value

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """As in `Flow`."""
        return function(*arguments)

    def call_for(
        self, n: int, function: Callable[..., Iterable[Any]], *arguments: Any
    ) -> list[Any]:
        """As in `Flow`."""
        results = list(function(*arguments))
        assert len(results) == n
        return results

    def get(self, place: Any) -> Any:
        """As in `Flow`."""
        return place


def as_it_is(patch: pytest.MonkeyPatch) -> None:
    """Batches of tests repeat many pairs, so all rows are compared."""


def as_if_few_repeat(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(current_ratings, "FEW", 2.0)


def in_ranges_of_users(patch: pytest.MonkeyPatch) -> None:
    """As on an engine of several machines, in four ranges."""
    bounds = current_on_engine.range_bounds
    patch.setattr(current_on_engine, "range_bounds", lambda ids, n: bounds(ids, 4))
    patch.setattr(current_on_engine, "ADDED_AT_ONCE", 2)

    @contextmanager
    def current(connection: Any, store: Store, *others: Any) -> Iterator[CurrentOnEngine]:
        yield CurrentOnEngine(LocalFlow(), connection, store, *others)

    patch.setattr(normalize, "_current", current)


Way = Callable[[pytest.MonkeyPatch], None]
WAYS: list[Way] = [as_it_is, as_if_few_repeat, in_ranges_of_users]


@contextmanager
def way_of(way: Way) -> Iterator[None]:
    """Normalize goes this way meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        way(patch)
        yield
