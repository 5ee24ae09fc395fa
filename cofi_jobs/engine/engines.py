"""The engine that the setting `engine` names: its workers, work on many items, flows of calls."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

from cofi_jobs.core import machine
from cofi_jobs.engine.flow import Flow
from cofi_jobs.engine.workers import LocalWorkers, Workers
from cofi_jobs.settings.fields import Settings

Part = TypeVar("Part")
Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def workers_for(
    settings: Settings,
    whole: Callable[[], Any],
    divide: Callable[[int], Sequence[Part]],
    make: Callable[[Part], Any],
) -> Iterator[Workers]:
    """Workers for all of the data; those on a cluster end with the context.

    `whole` makes the only worker of the engine `local`, in this process. For a cluster `divide(n)`
    gives at most n parts of about the same size, and `make`, where it works, the worker of a part.
    """
    if settings.engine == "local":
        yield LocalWorkers([whole()])
        return
    with _on_ray().workers_for(settings, divide, make) as workers:
        yield workers


@contextmanager
def connected(settings: Settings) -> Iterator[None]:
    """One connection to the cluster, if there is one, for all calls of `in_parallel` within."""
    if settings.engine == "local":
        yield
        return
    with _on_ray().connected(settings.ray_address):
        yield


def in_parallel(
    settings: Settings, work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """`work` on each of `items`; results in the order of `items`, of which few wait to be taken."""
    if settings.engine == "local":
        return machine.in_parallel(work, items)
    return _on_ray().in_parallel(settings, work, items)


@contextmanager
def flow_on(settings: Settings) -> Iterator[Flow]:
    """A flow of calls on the cluster; each takes a processor."""
    with _on_ray().flow_on(settings.ray_address) as flow:
        yield flow


def _on_ray() -> ModuleType:
    from cofi_jobs.engine import on_ray  # here: it imports Ray, an extra of the package

    return on_ray
