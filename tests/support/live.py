"""A whole Airflow for tests: scheduler (LocalExecutor), DAG processor, API server, PostgreSQL."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from deploy.trigger import Airflow
from tests.support.ports import free_port
from tests.support.postgres import server
from tests.support.repository import ROOT

PASSWORD = "for-this-test-only"
PATIENCE = 600  # seconds; only who waits in vain waits so long, and a busy machine is slow


@contextmanager
def live_airflow(home: Path, **environment: str) -> Iterator[Airflow]:
    """An Airflow with its home in `home`, logged in as admin; its own output is in home/log."""
    home.mkdir(parents=True, exist_ok=True)
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({"admin": PASSWORD}))
    port = free_port()
    with server() as postgres:
        address = postgres.partition("://")[2]
        environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("AIRFLOW", "COFI_"))
            },
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "3",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",  # the files do not change
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{address}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{address}",
            "AIRFLOW__OPENLINEAGE__DISABLED": "True",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "COFI_STORE": str(home / "store"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        with (home / "log").open("w") as log:
            standalone = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield _when_ready(
                standalone, home / "log", {"UI_PORT": str(port), "ADMIN_PASSWORD": PASSWORD}
            )
        finally:
            # Killed: asked to stop, Airflow waits for the task that is running, and a run may have
            # begun meanwhile.
            for process in psutil.process_iter():
                if _belongs(process, standalone.pid):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
            standalone.wait()


def _belongs(process: psutil.Process, session: int) -> bool:
    with suppress(ProcessLookupError):
        return os.getsid(process.pid) == session
    return False


def _when_ready(process: subprocess.Popen[bytes], log: Path, login: dict[str, str]) -> Airflow:
    def ready() -> Airflow | None:
        assert process.poll() is None, log.read_text()[-4000:]
        try:
            airflow = Airflow(login)
            health = airflow.call("GET", "/api/v2/monitor/health")
            airflow.call(
                "GET", "/execution/health"
            )  # as docker-compose.yaml asks: the first answer takes seconds
            parsed = {dag["dag_id"] for dag in airflow.call("GET", "/api/v2/dags")["dags"]}
        except (OSError, RuntimeError):
            return None
        well = all(part["status"] == "healthy" for part in health.values())
        return airflow if well and "cofi_nightly" in parsed else None

    return wait_for(ready, "Airflow")


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """What the condition gives, as soon as that is something."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} seconds"
        time.sleep(0.5)
    return value
