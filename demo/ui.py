"""`make ui`: a private Airflow with its UI, until Ctrl-C ends it. `make demo-ui`: at the report.

The processes of Airflow have a session of their own, so that Ctrl-C reaches this process alone,
which ends them all. Left to themselves, some of them live on.
"""

import argparse
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from demo.airflow_home import AIRFLOW, HOME, ROOT, environment, prepare_database, tail
from demo.files import fill
from demo.run import run

LOG = ROOT / ".cofi" / "ui.log"
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C, kill, a closed terminal
SECONDS_TO_END = 10  # that Airflow gets before it is killed
NEWEST_REPORT = (
    "/api/v2/dags/cofi_nightly/dagRuns/~/taskInstances"
    "?task_id=report&state=success&order_by=-start_date&limit=1"
)


def main() -> None:
    """Parse the arguments, then run Airflow until somebody ends it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--port", default="8080")
    parser.add_argument("--report", action="store_true", help="open the newest run's report")
    arguments = parser.parse_args()
    for ending in ENDINGS:
        signal.signal(ending, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        serve(arguments.store.resolve(), free_port(arguments.port), arguments.report)


def serve(store: Path, port: int, at_report: bool) -> None:
    """Run Airflow on a store, print the address, and wait."""
    with only_one():
        if at_report and not (store / "CURRENT.json").exists():
            run(store, [], None)
        fill(store, [], None)
        airflow = environment(store, port)
        prepare_database(airflow, LOG)
        with running(airflow) as standalone:
            print(f"starting Airflow; its log: {LOG}")
            url = f"http://localhost:{port}"
            wait_until_ready(standalone, url)
            page = url + report_page(url) if at_report else url
            print(f"{'the report' if at_report else 'Airflow'}: {page} (Ctrl-C ends it)")
            if at_report:
                webbrowser.open(page)
            standalone.wait()
            sys.exit(f"Airflow has ended; its last lines are\n{tail(LOG, 15)}")


def free_port(text: str) -> int:
    """The port of a text. Exits if it is none, or is in use."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        sys.exit(f"found the port {text!r}, expected a number from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as error:
            sys.exit(f"port {text} cannot be used: {error.strerror}; choose another: PORT=8090")
    return int(text)


@contextmanager
def only_one() -> Iterator[None]:
    """Exit if another process runs this Airflow: two schedulers would share one database."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "ui.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit("the UI of this checkout runs already, on this port or another")
        yield


@contextmanager
def running(airflow: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`airflow standalone`; in the end, none of its processes is left."""
    with LOG.open("a") as log:
        standalone = subprocess.Popen(
            [*AIRFLOW, "standalone"],
            env=airflow,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield standalone
    finally:
        for ending in ENDINGS:
            signal.signal(ending, signal.SIG_IGN)  # a second Ctrl-C must not stop this
        print("\nending Airflow")
        standalone.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            standalone.wait(SECONDS_TO_END)
        while members := session(standalone.pid):
            for process in members:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(members, timeout=1)


def session(leader: int) -> list[psutil.Process]:
    """The processes of a session that are alive."""
    members = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError, PermissionError):
            alive = process.info["status"] != psutil.STATUS_ZOMBIE
            if alive and os.getsid(process.pid) == leader:
                members.append(process)
    return members


def wait_until_ready(standalone: subprocess.Popen[bytes], url: str) -> None:
    """Return once all parts of Airflow are well and the DAG can be seen. Exits if Airflow ends."""
    while True:
        if standalone.poll() is not None:
            sys.exit(f"Airflow did not start; its last lines are\n{tail(LOG, 15)}")
        with suppress(OSError, KeyError):
            health = get(f"{url}/api/v2/monitor/health")
            if all(part["status"] == "healthy" for part in health.values()):
                get(f"{url}/api/v2/dags/cofi_nightly")
                return
        time.sleep(1)


def report_page(url: str) -> str:
    """Where the UI shows the newest report; the list of all runs if there is none."""
    reports = get(url + NEWEST_REPORT)["task_instances"]
    if not reports:
        return "/plugin/cofi-reports"
    return f"/dags/cofi_nightly/runs/{quote(reports[0]['dag_run_id'])}/plugin/cofi-report"


def get(address: str) -> Any:
    """The answer of Airflow's API, to whom it takes for an admin."""
    origin = "/".join(address.split("/")[:3])
    with urllib.request.urlopen(f"{origin}/auth/token", timeout=60) as answer:
        token = json.load(answer)["access_token"]
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


if __name__ == "__main__":
    main()
