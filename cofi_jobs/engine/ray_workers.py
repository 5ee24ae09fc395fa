"""Workers with state on a Ray cluster: each is an actor."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError

from cofi_jobs.core import machine
from cofi_jobs.core.errors import SettingsError
from cofi_jobs.engine.ray_cluster import results
from cofi_jobs.engine.workers import arguments_of_each

log = logging.getLogger(__name__)

Part = TypeVar("Part")

PATIENCE = 60  # seconds after which the log says that workers wait for a place


class RayWorkers:
    """The actors of a task, as `workers.Workers`."""

    def __init__(self, actors: Sequence[Any]) -> None:
        self.actors = actors

    def __len__(self) -> int:
        """As in `Workers`."""
        return len(self.actors)

    def share(self, value: Any) -> Any:
        """As in `Workers`: the value goes to each node once, by the object store."""
        return ray.put(value)

    def each(self, method: str, *common: Any, parts: Sequence[Any] = ()) -> list[Any]:
        """As in `Workers`."""
        return results(self._calls(method, common, parts))

    def total(self, method: str, *common: Any, parts: Sequence[Any] = ()) -> Any:
        """As in `Workers`. The actors add in pairs, so that one result comes back."""
        calls = self._calls(method, common, parts)
        step = 1
        while step < len(calls):
            for first in range(0, len(calls) - step, 2 * step):
                pair = calls[first], calls[first + step]
                calls[first] = self.actors[first].add.remote(*pair)
            step *= 2
        return results(calls[:1])[0]

    def in_order(self, method: str, *common: Any, parts: Sequence[Sequence[Any]]) -> Iterator[Any]:
        """As in `Workers`. Ray writes results to disk where a machine's memory ends."""
        calls = deque(
            actor.call.remote(method, *common, part)
            for actor, of_actor in zip(self.actors, parts, strict=True)
            for part in of_actor
        )
        while calls:
            yield results([calls.popleft()])[0]

    def wait(self) -> None:
        """Wait until each worker has its place and has been made."""
        ready = [actor.ready.remote() for actor in self.actors]
        while True:
            try:
                results(ready, PATIENCE)
                return
            except GetTimeoutError:
                free = ray.available_resources().get("CPU", 0)
                log.info("workers are not ready yet; %g processors of the cluster are free", free)

    def _calls(self, method: str, common: Sequence[Any], parts: Sequence[Any]) -> list[Any]:
        of_each = arguments_of_each(len(self.actors), common, parts)
        return [
            actor.call.remote(method, *arguments)
            for actor, arguments in zip(self.actors, of_each, strict=True)
        ]


class Worker:
    """Holds a worker. What it logs arrives in the log of the task."""

    def __init__(self, make: Callable[[Part], Any], part: Part, threads: int) -> None:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        self.limit = ExitStack()  # kept, because the limit ends when nothing refers to it
        self.limit.enter_context(machine.limited(threads))
        self.worker, self.error = None, None
        try:
            self.worker = make(part)
        except Exception as error:  # raised here, Ray would take it for the actor's death
            self.error = error

    def ready(self) -> None:
        """Raise the error that kept the worker from being made, if there was one."""
        if self.error:
            raise self.error

    def call(self, method: str, *arguments: Any) -> Any:
        """The result of a method of the worker."""
        self.ready()
        return getattr(self.worker, method)(*arguments)

    def add(self, first: Any, second: Any) -> Any:
        """The sum of results of two workers."""
        return first + second


def workers_and_cpus(n_workers: int, cpus_of_nodes: Sequence[float]) -> tuple[int, float]:
    """How many workers, 0: one for each node, and how many processors each of them takes."""
    nodes = [cpus for cpus in cpus_of_nodes if cpus]
    if not nodes:
        raise SettingsError("found no node with processors on the Ray cluster, expected one")
    n = n_workers or len(nodes)
    share = min(nodes) / -(-n // len(nodes))
    return n, float(int(share)) if share >= 1 else share
