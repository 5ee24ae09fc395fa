"""A flow of calls on a Ray cluster: each is a task of Ray."""

from collections.abc import Callable, Iterable
from typing import Any

import ray

from cofi_jobs.engine.ray_cluster import RESTARTS, results


class RayFlow:
    """As `flow.Flow`. Ray recomputes what is lost."""

    def __init__(self) -> None:
        self.task = ray.remote(num_cpus=1, max_retries=RESTARTS)(_call)

    def share(self, value: Any) -> Any:
        """As in `Flow`: the value goes to each node once, by the object store."""
        return ray.put(value)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """As in `Flow`."""
        return self._task(function).remote(function, *arguments)

    def call_for(
        self, n: int, function: Callable[..., Iterable[Any]], *arguments: Any
    ) -> list[Any]:
        """As in `Flow`."""
        if n == 1:  # the result of the function would be a sequence
            return [self._task(function).remote(_only_result_of, function, *arguments)]
        return list(self._task(function, num_returns=n).remote(function, *arguments))

    def get(self, place: Any) -> Any:
        """As in `Flow`."""
        return results([place])[0]

    def _task(self, function: Callable[..., Any], **options: Any) -> Any:
        # Ray's dashboard and the list of processes show the name.
        return self.task.options(name=function.__name__, **options)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _only_result_of(function: Callable[..., Iterable[Any]], *arguments: Any) -> Any:
    [result] = function(*arguments)
    return result
