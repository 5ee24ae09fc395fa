"""`make trigger`: hand files to the running stack, run the DAG by Airflow's REST API, follow it.

Needs nothing but Python and Docker Compose.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

STORE = "/opt/airflow/store"  # in the containers, see the Dockerfile
COMPOSE = ["docker", "compose"]
DAG = "/api/v2/dags/cofi_nightly"


class Airflow:
    """The REST API of a running Airflow, logged in as admin."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{environment.get('UI_PORT') or 8080}"
        self.token = ""
        login = {"username": "admin", "password": environment["ADMIN_PASSWORD"]}
        self.token = self.call("POST", "/auth/token", login)["access_token"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to one request. An error that the server explains becomes a RuntimeError."""
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(
                f"{method} {path}: {error.code} {error.read().decode(errors='replace')}"
            ) from None

    def trigger(self, conf: dict[str, Any]) -> str:
        """Start a run with params that differ from their defaults; returns its id.

        Unpauses the DAG, which starts the last night's run too if there was none; that goes first,
        being older.
        """
        run = self.call("POST", f"{DAG}/dagRuns", {"logical_date": None, "conf": conf})
        self.call("PATCH", DAG, {"is_paused": False})
        return run["dag_run_id"]

    def state(self, run_id: str) -> str:
        """State of a run."""
        return self.call("GET", f"{DAG}/dagRuns/{quote(run_id)}")["state"]

    def tasks(self, run_id: str) -> dict[str, dict[str, Any]]:
        """The tasks of a run by their names: state, try_number, ..."""
        instances = self.call("GET", f"{DAG}/dagRuns/{quote(run_id)}/taskInstances")[
            "task_instances"
        ]
        return {task["task_id"]: task for task in instances}


def put(compose: list[str], file: Path, folder: str) -> None:
    """Copy a file into a folder of the stack's store; it appears there once complete."""
    script = 'umask 027 && mkdir -p "$1" && cat >"$1/.$2.part" && mv "$1/.$2.part" "$1/$2"'
    command = [
        *compose,
        "exec",
        "-T",
        "airflow-worker",  # which alone may write there
        "sh",
        "-ec",
        script,
        "-",
        f"{STORE}/{folder}",
        file.name,
    ]
    with file.open("rb") as content:
        if subprocess.run(command, stdin=content).returncode:
            raise RuntimeError(f"{file} could not be put into {folder}/ of the store")


def read_environment(path: Path) -> dict[str, str]:
    """The variables that Compose sees: those of the file, under those of the shell."""
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {**{name.strip(): value.strip() for name, value in pairs}, **os.environ}


def main() -> None:
    """Parse the arguments, trigger, and print each task's state as it changes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=Path, action="append", default=[])
    parser.add_argument("--items", type=Path, action="append", default=[])
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a param of the run"
    )
    arguments = parser.parse_args()
    conf = {}
    for name, _, value in (text.partition("=") for text in arguments.set):
        try:
            conf[name] = json.loads(value)
        except ValueError:
            conf[name] = value
    environment = read_environment(Path(".env"))
    if "ADMIN_PASSWORD" not in environment:
        sys.exit("found no ADMIN_PASSWORD, expected it in .env; make secrets writes it")
    try:
        airflow = Airflow(environment)
        for folder, files in (("landing", arguments.ratings), ("catalogue", arguments.items)):
            for file in files:
                put(COMPOSE, file, folder)
        run_id = airflow.trigger(conf)
    except urllib.error.URLError as error:
        sys.exit(f"found no Airflow that answers ({error.reason}); make up starts it")
    except (OSError, RuntimeError) as error:
        sys.exit(str(error))
    print(f"{run_id}: {airflow.url}/dags/cofi_nightly/runs/{quote(run_id)}")
    seen: dict[str, str] = {}
    state = "queued"
    while state in ("queued", "running"):
        time.sleep(2)
        state = airflow.state(run_id)
        for name, task in airflow.tasks(run_id).items():
            if task["state"] and seen.get(name) != task["state"]:
                seen[name] = task["state"]
                print(f"  {name}: {task['state']}")
    sys.exit(
        0
        if state == "success"
        else f"the run ended as {state}; the tasks' logs are at the address above"
    )


if __name__ == "__main__":
    main()
