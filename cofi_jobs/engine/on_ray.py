"""Work on a Ray cluster. Ray places it, and repeats what was lost."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from cofi_jobs.core import machine
from cofi_jobs.core.extras import extra
from cofi_jobs.settings.fields import Settings

with extra("ray"):
    import ray

    from cofi_jobs.engine.ray_cluster import RESTARTS, connected, cpus_of_nodes, results
    from cofi_jobs.engine.ray_flow import RayFlow
    from cofi_jobs.engine.ray_workers import RayWorkers, Worker, workers_and_cpus

log = logging.getLogger(__name__)

Part = TypeVar("Part")
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def workers_for(
    settings: Settings, divide: Callable[[int], Sequence[Part]], make: Callable[[Part], Any]
) -> Iterator[RayWorkers]:
    """Workers on a cluster, as `engines.workers_for`.

    Raises SettingsError if there is no cluster at the address, or none with processors.
    """
    with connected(settings.ray_address):
        n, cpus = workers_and_cpus(settings.ray_workers, cpus_of_nodes())
        actor = ray.remote(
            num_cpus=cpus,
            max_restarts=RESTARTS,
            max_task_retries=-1,  # until Ray has restarted the actor
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
        n, cpus = workers_and_cpus(0, cpus_of_nodes())
        call = ray.remote(num_cpus=1, max_retries=RESTARTS)(_work_on)
        shared, waiting = ray.put(work), deque[Any]()
        for item in items:
            waiting.append(call.remote(shared, item))
            if len(waiting) > 2 * n * cpus:
                yield results([waiting.popleft()])[0]
        while waiting:
            yield results([waiting.popleft()])[0]


def _work_on(work: Callable[[Item], Result], item: Item) -> Result:
    machine.one_blas_thread()
    return work(item)


@contextmanager
def flow_on(address: str | None) -> Iterator[RayFlow]:
    """Tasks of Ray whose results stay in its object store, as `engines.flow_on`."""
    with connected(address):
        yield RayFlow()
