"""A copy of this checkout, in which tests run `make` as a user does; and Airflow's API there."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from cofi_jobs.settings.resolve import to_environment
from tests.support.data import QUICK_VALUES
from tests.support.live import wait_for
from tests.support.repository import ROOT


@dataclass(frozen=True)
class Checkout:
    """A copy of this checkout, so that the developer's own .cofi is left alone."""

    root: Path

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Make to its end."""
        with self.making(*arguments) as process:
            try:
                output, _ = process.communicate(timeout=600)
            except BaseException:  # nothing that make started may stay
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def making(self, *arguments: str) -> subprocess.Popen[str]:
        """Make, with the environment that runs the tests instead of one that it would install."""
        # MAKE...: of the make that runs the tests; this one is a user's, not a part of that.
        other = ("AIRFLOW", "COFI_", "PYTHON", "MAKE", "MFLAGS")
        kept = {name: v for name, v in os.environ.items() if not name.startswith(other)}
        return subprocess.Popen(
            ["make", "-o", f"{sys.prefix}/.ready", f"VENV={sys.prefix}", *arguments],
            cwd=self.root,
            env={**kept, **to_environment(QUICK_VALUES)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def processes(self) -> list[list[str]]:
        """Command lines of what runs with the checkout's Airflow."""
        commands = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                home = process.environ().get("AIRFLOW_HOME", "")
                if home.startswith(str(self.root)) and process.status() != psutil.STATUS_ZOMBIE:
                    commands.append(process.cmdline())
        return commands


def new_checkout(root: Path) -> Checkout:
    for folder in ("cofi_jobs", "dags", "demo"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "Makefile", root / "Makefile")
    return Checkout(root)


@dataclass(frozen=True)
class Api:
    """Airflow's API, which takes everybody for an admin."""

    url: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        with urllib.request.urlopen(f"{self.url}/auth/token", timeout=60) as answer:
            token = json.load(answer)["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def unpause(self, dag: str) -> None:
        """Let a DAG run as scheduled."""
        self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})

    def runs(self, dag: str, kind: str) -> list[str]:
        """The ids of a DAG's runs of a kind."""
        answer = self.call("GET", f"/api/v2/dags/{dag}/dagRuns?run_type={kind}")
        return [run["dag_run_id"] for run in answer["dag_runs"]]

    def scheduled(self, dag: str) -> str:
        """Unpause a DAG; the id of the run that this starts."""
        self.unpause(dag)
        [run] = wait_for(lambda: self.runs(dag, "scheduled"), f"the run of {dag}")
        return run

    def tasks(self, dag: str, run_id: str) -> dict[str, tuple[str, int]]:
        """State and number of tries of each task of a run, once the run has ended."""
        run = f"/api/v2/dags/{dag}/dagRuns/{quote(run_id)}"
        wait_for(lambda: self.call("GET", run)["state"] in ("success", "failed"), "the run's end")
        tasks = self.call("GET", f"{run}/taskInstances")["task_instances"]
        return {task["task_id"]: (task["state"], task["try_number"]) for task in tasks}
