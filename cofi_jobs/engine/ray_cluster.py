"""The connection to a Ray cluster, and the results of calls that were made there."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import (
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from cofi_jobs.core import machine
from cofi_jobs.core.credentials import CONNECTION, RAY_CLUSTER, options
from cofi_jobs.core.errors import CofiError, SettingsError
from cofi_jobs.engine.ray_node import no_cluster, node_here

LOST = RayActorError, WorkerCrashedError, OutOfMemoryError
RESTARTS = 3  # of a worker or a call, before the task gives up

# What Ray reads from the environment, unless it is set already.
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
def connected(address: str | None) -> Iterator[None]:
    """Connected to the cluster at an address, or to one of this machine for this task alone.

    Within such a connection, another call uses it.
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


def cpus_of_nodes() -> list[float]:
    """Processors of each machine of the cluster that is up."""
    return [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]


def results(calls: list[Any], timeout: float | None = None) -> list[Any]:
    """The results of calls, in order, as soon as all are there.

    Raises a CofiError of a call as it was raised there, WorkersLostError if Ray gave a call up.
    """
    try:
        return list(ray.get(calls, timeout=timeout))
    except RayTaskError as error:
        if isinstance(error.cause, CofiError):
            raise error.cause from None
        if isinstance(error.cause, LOST):  # of an argument of the call
            raise _lost(error.cause) from None
        raise
    except LOST as error:
        raise _lost(error) from None


def _lost(error: Exception) -> WorkersLostError:
    return WorkersLostError(f"a worker on Ray was lost more than {RESTARTS} times: {error}")
