"""A node of a Ray cluster on this machine, which a program needs to use the cluster."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ray._private.services import get_node_ip_address
from ray._raylet import GcsClient
from ray.exceptions import RpcError

from cofi_jobs.core.errors import SettingsError

ADDRESS = re.compile(r"(?P<host>[\w.-]+):(?P<port>[0-9]+)")  # not auto, nor ray://...
REACHED = 10  # seconds in which the head of a cluster must answer
JOINED = 240  # seconds in which a node must have joined
ALIVE = 0
# The node ends when standard input does: with the process that started it, however that ends.
UNTIL_END_OF_INPUT = """
exec 3<&0
"$@" 3<&- & node=$!
{ read -r _ <&3; kill $node; } & reader=$!
wait $node
kill $reader
"""
START = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=0"]


@contextmanager
def node_here(address: str | None) -> Iterator[None]:
    """Join this machine to the cluster at an address, as a node without processors.

    If it has joined already, or the address is no <host>:<port>, nothing is done. Raises
    SettingsError if nothing answers at the address, RuntimeError if the node does not start.
    """
    if not (address and (parts := ADDRESS.fullmatch(address))):
        yield
        return
    try:
        socket.create_connection((parts["host"], int(parts["port"])), REACHED).close()
        cluster = GcsClient(address=address)
    except (OSError, RpcError) as error:  # nothing answers there, or something else does
        raise no_cluster(address, error) from None
    here = get_node_ip_address(address)
    if is_node(cluster, here):
        yield
        return
    command = ["sh", "-c", UNTIL_END_OF_INPUT, "sh", *START, f"--address={address}"]

    def start() -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet)

    with ExitStack() as nodes:  # at the end their input is closed, and they are waited for
        node = nodes.enter_context(start())
        end = time.monotonic() + JOINED
        while not is_node(cluster, here):
            if time.monotonic() > end:
                raise RuntimeError(
                    f"no node of the Ray cluster at {address} started on this machine, {here}, "
                    f"within {JOINED} seconds"
                )
            if node.poll() is not None:  # Ray gives up a node that does not start within 15 seconds
                node = nodes.enter_context(start())
            time.sleep(0.2)
        yield


def is_node(cluster: GcsClient, address: str) -> bool:
    """Whether a machine has a node of the cluster that is up."""
    nodes = cluster.get_all_node_info().values()
    return any(node.node_manager_address == address and node.state == ALIVE for node in nodes)


def no_cluster(address: str, error: Exception) -> SettingsError:
    """What to raise where no cluster answers."""
    return SettingsError(
        f"setting ray_address: found no Ray cluster at {address}, expected one: {error}"
    )
