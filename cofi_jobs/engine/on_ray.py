"""Work on a Ray cluster. Ray places it, and does what was lost again.

A worker with state is an actor; other work is tasks of Ray.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from cofi_jobs.core import machine
from cofi_jobs.core.credentials import CONNECTION, RAY_CLUSTER, options
from cofi_jobs.core.errors import CofiError, SettingsError
from cofi_jobs.core.extras import extra
from cofi_jobs.engine.workers import arguments_of_each
from cofi_jobs.settings.fields import Settings

with extra("ray"):
    import ray
    from ray.exceptions import (
        GetTimeoutError,
        OutOfMemoryError,
        RayActorError,
        RayTaskError,
        WorkerCrashedError,
    )

    from cofi_jobs.engine.ray_node import no_cluster, node_here

log = logging.getLogger(__name__)

LOST = RayActorError, WorkerCrashedError, OutOfMemoryError

Part = TypeVar("Part")
Item = TypeVar("Item")
Result = TypeVar("Result")

RESTARTS = 3  # of a worker, before the task gives up
PATIENCE = 60  # seconds after which the log says that workers wait for a place

# What Ray reads from the environment, where nobody has set it.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray would report over the network that it is used
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # a second worker's error: the task says the first one's
    "RAY_worker_niceness": "0",  # of a cluster of this machine: as fast as the task itself
    # Milliseconds after which a machine without an answer is asked, and then given up. Ray's own
    # values let a task wait for seven minutes for a machine that is cut off.
    "RAY_grpc_client_keepalive_time_ms": "30000",
    "RAY_grpc_client_keepalive_timeout_ms": "30000",
}


class WorkersLostError(RuntimeError):
    """Workers were lost again and again. It may be the cluster, so the task can be repeated."""


@contextmanager
def workers_for(
    settings: Settings, divide: Callable[[int], Sequence[Part]], make: Callable[[Part], Any]
) -> Iterator["RayWorkers"]:
    """Workers on a cluster, as `engines.workers_for`.

    Raises SettingsError if there is no cluster at the address, or none with processors.
    """
    with connected(settings.ray_address):
        n, cpus = workers_and_cpus(settings.ray_workers, _cpus_of_nodes())
        actor = ray.remote(
            num_cpus=cpus,
            max_restarts=RESTARTS,
            max_task_retries=-1,  # until the actor is back: nobody answers there meanwhile
            scheduling_strategy="SPREAD",
        )(Worker)
        threads = settings.threads or max(1, int(cpus))
        actors = [actor.remote(make, part, threads) for part in divide(n)]
        log.info("workers on Ray: %d, threads of each: %d", len(actors), threads)
        workers = RayWorkers(actors)
        workers.wait()
        yield workers  # Ray ends the actors of a program that leaves the cluster, however it ends


def in_parallel(
    settings: Settings, work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """As `engines.in_parallel`, on one processor of a cluster for each item."""
    with connected(settings.ray_address):
        n, cpus = workers_and_cpus(0, _cpus_of_nodes())
        call = ray.remote(num_cpus=1, max_retries=RESTARTS)(_work_on)
        shared, waiting = ray.put(work), deque[Any]()
        for item in items:
            waiting.append(call.remote(shared, item))
            if len(waiting) > 2 * n * cpus:
                yield _results([waiting.popleft()])[0]
        while waiting:
            yield _results([waiting.popleft()])[0]


def _work_on(work: Callable[[Item], Result], item: Item) -> Result:
    machine.one_blas_thread()
    return work(item)


@contextmanager
def flow_on(address: str | None) -> Iterator["RayFlow"]:
    """Tasks of Ray whose results stay in its object store, as `engines.flow_on`."""
    with connected(address):
        yield RayFlow()


class RayFlow:
    """As `flow.Flow`. Ray computes again what is lost."""

    def __init__(self) -> None:
        self.task = ray.remote(num_cpus=1, max_retries=RESTARTS)(_call)

    def share(self, value: Any) -> Any:
        """As in `Flow`: the value goes to each node once, by the object store."""
        return ray.put(value)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """As in `Flow`."""
        return self.task.remote(function, *arguments)

    def call_for(
        self, n: int, function: Callable[..., Iterable[Any]], *arguments: Any
    ) -> list[Any]:
        """As in `Flow`."""
        if n == 1:  # the result of the function would be a sequence
            return [self.task.remote(_only_result_of, function, *arguments)]
        return list(self.task.options(num_returns=n).remote(function, *arguments))

    def get(self, place: Any) -> Any:
        """As in `Flow`."""
        return _results([place])[0]


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _only_result_of(function: Callable[..., Iterable[Any]], *arguments: Any) -> Any:
    [result] = function(*arguments)
    return result


def workers_and_cpus(n_workers: int, cpus_of_nodes: Sequence[float]) -> tuple[int, float]:
    """How many workers, 0: one for each node, and how many processors each of them takes."""
    nodes = [cpus for cpus in cpus_of_nodes if cpus]
    if not nodes:
        raise SettingsError("found no node with processors on the Ray cluster, expected one")
    n = n_workers or len(nodes)
    share = min(nodes) / -(-n // len(nodes))
    return n, float(int(share)) if share >= 1 else share


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
        return _results(self._calls(method, common, parts))

    def total(self, method: str, *common: Any, parts: Sequence[Any] = ()) -> Any:
        """As in `Workers`. The actors add in pairs, so that one result comes back."""
        calls = self._calls(method, common, parts)
        step = 1
        while step < len(calls):
            for first in range(0, len(calls) - step, 2 * step):
                pair = calls[first], calls[first + step]
                calls[first] = self.actors[first].add.remote(*pair)
            step *= 2
        return _results(calls[:1])[0]

    def in_order(self, method: str, *common: Any, parts: Sequence[Sequence[Any]]) -> Iterator[Any]:
        """As in `Workers`. Ray writes results to disk where a machine's memory ends."""
        calls = deque(
            actor.call.remote(method, *common, part)
            for actor, of_actor in zip(self.actors, parts, strict=True)
            for part in of_actor
        )
        while calls:
            yield _results([calls.popleft()])[0]

    def wait(self) -> None:
        """Wait until each worker has its place and has been made."""
        ready = [actor.ready.remote() for actor in self.actors]
        while True:
            try:
                _results(ready, PATIENCE)
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
        ExitStack().enter_context(machine.limited(threads))  # for as long as the process lives
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


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connected to the cluster at an address, or to one of this machine for this task alone.

    Within such a connection it is used.
    """
    if ray.is_initialized():
        yield
        return
    address = _address(address)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    here = {"address": "local", "num_cpus": machine.threads(), "include_dashboard": False}
    with node_here(address):
        try:
            ray.init(**({"address": address} if address else here), logging_level=logging.WARNING)
        except Exception as error:  # Ray raises that very class where a node does not start
            if not address:
                raise RuntimeError(f"no Ray cluster started on this machine: {error}") from None
            if not isinstance(error, (ConnectionError, ValueError)):
                raise
            raise no_cluster(address, error) from None
        try:
            yield
        finally:
            ray.shutdown()


def _address(setting: str | None) -> str | None:
    """Where the cluster is; None: nowhere yet. The token of a connection is set for Ray.

    Raises SettingsError for a connection that no task of Airflow has looked up.
    """
    if not (setting and setting.startswith(CONNECTION)):
        return setting or os.environ.get("RAY_ADDRESS")
    cluster = options(RAY_CLUSTER)
    if not cluster:
        raise SettingsError(
            f"setting ray_address: found {setting}, which only a task of Airflow can look up; "
            "expected <host>:<port>"
        )
    if "token" in cluster:
        os.environ["RAY_AUTH_TOKEN"] = cluster["token"]
    return str(cluster["address"])


def _cpus_of_nodes() -> list[float]:
    return [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]


def _results(calls: list[Any], timeout: float | None = None) -> list[Any]:
    try:
        return list(ray.get(calls, timeout=timeout))
    except RayTaskError as error:
        if isinstance(error.cause, CofiError):
            raise error.cause from None
        if isinstance(error.cause, LOST):  # what it was to add
            raise _lost(error.cause) from None
        raise
    except LOST as error:
        raise _lost(error) from None


def _lost(error: Exception) -> WorkersLostError:
    return WorkersLostError(f"a worker on Ray was lost more than {RESTARTS} times: {error}")
