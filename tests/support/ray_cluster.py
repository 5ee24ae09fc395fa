"""A Ray cluster of several nodes on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from ray._private.node import Node
from ray.cluster_utils import Cluster

from tests.support.ports import free_port

ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",  # else Ray keeps a token in the home of whoever runs the tests
    "RAY_worker_niceness": "0",  # on a busy machine nice workers get nothing
    "RAY_agent_register_timeout_ms": "300000",
}
AGENTS = (
    "metrics_agent_port",
    "metrics_export_port",
    "runtime_env_agent_port",
    "dashboard_agent_listen_port",
)


@contextmanager
def cluster_of(n_nodes: int) -> Iterator[Cluster]:
    """A cluster of nodes with one processor each; `ray_address` of settings is its `address`."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        start = Node.start_ray_processes
        patch.setattr(Node, "start_ray_processes", lambda node: start(with_port_of_agent(node)))
        cluster = Cluster()
        try:
            for _ in range(n_nodes):
                add_node(cluster)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def add_node(cluster: Cluster) -> None:
    """One more node."""
    ports = {name: free_port() for name in AGENTS}
    cluster.add_node(num_cpus=1, include_dashboard=False, **ports)


def with_port_of_agent(node: Node) -> Node:
    """The node, with the file in which its agent says the port where it listens.

    A node gives up if that file is not there after 15 seconds. On a busy machine the agent has not
    started by then, and its port is known before.
    """
    port = node.dashboard_agent_listen_port
    file = Path(node.get_session_dir_path()) / f"dashboard_agent_listen_port_{node.node_id}"
    file.write_text(str(port))
    return node
