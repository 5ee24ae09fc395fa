"""Workers: one object for each part of the data, wherever it is."""

import functools
import operator
from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

Worker = TypeVar("Worker")


class Workers(Protocol):
    """Objects of one class, whose methods depend on nothing but their arguments.

    So a worker that is lost can be made again elsewhere, and the call repeated.
    """

    def __len__(self) -> int:
        """How many they are."""

    def share(self, value: Any) -> Any:
        """An argument for calls of all workers, which is sent once."""

    def each(self, method: str, *common: Any, parts: Sequence[Any] = ()) -> list[Any]:
        """The method's result of each worker, called with `common` and its part of `parts`."""

    def total(self, method: str, *common: Any, parts: Sequence[Any] = ()) -> Any:
        """The sum of the results of `each`."""

    def in_order(self, method: str, *common: Any, parts: Sequence[Sequence[Any]]) -> Iterator[Any]:
        """A result for each part of the first worker, then for those of the next one, and so on.

        The method is called with `common` and the part. The workers work side by side, and results
        wait where they are until they are taken.
        """


class LocalWorkers(Generic[Worker]):
    """Workers in this process, one after the other."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = workers

    def __len__(self) -> int:
        """As in `Workers`."""
        return len(self.workers)

    def share(self, value: Any) -> Any:
        """The value itself."""
        return value

    def each(self, method: str, *common: Any, parts: Sequence[Any] = ()) -> list[Any]:
        """As in `Workers`."""
        of_each = arguments_of_each(len(self.workers), common, parts)
        return [
            getattr(worker, method)(*arguments)
            for worker, arguments in zip(self.workers, of_each, strict=True)
        ]

    def total(self, method: str, *common: Any, parts: Sequence[Any] = ()) -> Any:
        """As in `Workers`."""
        return functools.reduce(operator.add, self.each(method, *common, parts=parts))

    def in_order(self, method: str, *common: Any, parts: Sequence[Sequence[Any]]) -> Iterator[Any]:
        """As in `Workers`; each result when it is taken."""
        for worker, of_worker in zip(self.workers, parts, strict=True):
            for part in of_worker:
                yield getattr(worker, method)(*common, part)


def arguments_of_each(
    n_workers: int, common: Sequence[Any], parts: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """What the method of each worker is called with, as in `Workers.each`."""
    return [(*common, part) for part in parts] or [tuple(common)] * n_workers
