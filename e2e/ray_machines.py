"""Machines of a Ray cluster on this one: network namespaces that a bridge joins.

Each has processes, shared memory and a folder of Ray of its own, and the disk that all of them
share. `make e2e-ray` puts the whole test into namespaces, so nothing of it outlives the test.
"""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.support import ray_cluster

BRIDGE, NETWORK, PORT = "bridge", "10.77.0", 6379
NAMESPACES, RAYS_FOLDER = Path("/run/netns"), Path("/tmp/ray")
BIN = Path(sys.executable).parent
ENVIRONMENT = {
    **ray_cluster.ENVIRONMENT,
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "only-the-machines-of-this-test-know-it",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A machine that does not answer is given up after about ten seconds, not a minute.
    "RAY_health_check_initial_delay_ms": "3000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "4000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_grpc_client_keepalive_time_ms": "5000",
    "RAY_grpc_client_keepalive_timeout_ms": "5000",
}
PATIENCE = 180  # seconds until a machine belongs to the cluster
WAIT = """
import sys, time, ray
while True:
    try:
        ray.init(address="auto", logging_level="ERROR")
        break
    except ConnectionError:
        time.sleep(1)
while sum(node["Alive"] for node in ray.nodes()) != int(sys.argv[1]):
    time.sleep(1)
"""


class Machine:
    """A machine with some processors for Ray, None: without Ray. It runs as soon as it is made."""

    numbers = itertools.count(1)

    def __init__(self, cpus: int | None, head: "Machine | None" = None) -> None:
        self.number = next(self.numbers)
        self.name, self.address = f"machine{self.number}", f"{NETWORK}.{self.number}"
        self._connect()
        start = ["sleep", "infinity"] if cpus is None else self._ray(cpus, head)
        mounts = f"mount -t tmpfs ray {RAYS_FOLDER} && mount -t tmpfs shm /dev/shm"
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.process = subprocess.Popen(
            [*self._in_network(), *own, "sh", "-c", f'{mounts} && exec "$@"', "sh", *start],
            env={**os.environ, **ENVIRONMENT},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def cluster(self) -> str:
        """Where the cluster is, if this is its head."""
        return f"{self.address}:{PORT}"

    def popen(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Run a command there; what it prints goes to a file."""
        inside = ["nsenter", f"--target={self._first_process().pid}", "--net", "--mount", "--pid"]
        with log.open("wb") as output:
            return subprocess.Popen(
                [*inside, f"--wd={Path.cwd()}", "--", *command],
                env={**os.environ, **ENVIRONMENT},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def processes(self) -> list[str]:
        """What runs there, as Ray names it while it works: "ray::Worker.call"."""
        lines = []
        for process in self._first_process().children(recursive=True):
            try:
                lines.append(" ".join(process.cmdline()))
            except psutil.Error:  # it has ended meanwhile
                continue
        return lines

    def kill(self) -> None:
        """As if its power had failed."""
        self.process.kill()  # and with it all processes of the machine
        self.process.wait()

    def cut_off(self) -> None:
        """As if somebody had pulled its network cable."""
        ip("link", "set", self.name, "down")

    def _ray(self, cpus: int, head: "Machine | None") -> list[str]:
        role = ["--head", f"--port={PORT}", "--include-dashboard=false"]
        if head:
            role = [f"--address={head.cluster}"]
        resources = [f"--num-cpus={cpus}", "--object-store-memory=200000000"]
        return [
            *(str(BIN / "ray"), "start", "--block"),
            *(*role, *resources, f"--node-ip-address={self.address}"),
        ]

    def _connect(self) -> None:
        ip("netns", "add", self.name)
        ip("link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        ip("link", "set", self.name, "master", BRIDGE, "up")
        ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            ip("-n", self.name, "link", "set", device, "up")

    def _in_network(self) -> list[str]:
        return ["nsenter", f"--net={NAMESPACES / self.name}"]

    def _first_process(self) -> psutil.Process:
        unshare = psutil.Process(self.process.pid)
        while not (children := unshare.children()):
            time.sleep(0.1)
        return children[0]


class Machines:
    """A head without processors, where the job runs, and machines with one processor each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # for logs
        RAYS_FOLDER.mkdir(exist_ok=True)
        NAMESPACES.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "netns", str(NAMESPACES)], check=True)
        ip("link", "set", "lo", "up")
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("link", "set", BRIDGE, "up")
        self.head = Machine(cpus=0)
        self.others: list[Machine] = []

    def be(self, n: int) -> list[Machine]:
        """Have n machines beside the head that are up; returns them."""
        for machine in self.others[n:]:
            machine.kill()
        del self.others[n:]
        while len(self.others) < n:
            self.others.append(Machine(cpus=1, head=self.head))
        log = self.folder / "machines.log"
        waiting = self.head.popen([str(BIN / "python"), "-c", WAIT, str(n + 1)], log)
        assert waiting.wait(PATIENCE) == 0, log.read_text()
        return self.others

    def end(self) -> None:
        """Stop all machines."""
        for machine in (*self.others, self.head):
            machine.kill()

    def lose(self, machine: Machine) -> None:
        """Forget a machine that was killed or cut off."""
        machine.kill()
        self.others.remove(machine)


def ip(*arguments: str) -> None:
    """Configure the network."""
    subprocess.run(["ip", *arguments], check=True)
