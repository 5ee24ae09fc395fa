"""The private Airflow of `make run` and `make ui`: its home, its configuration, its database."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".cofi" / "airflow"
AIRFLOW = [sys.executable, "-m", "airflow"]


def environment(store: Path, port: int = 8080) -> dict[str, str]:
    """Airflow's configuration: all of it lies in the checkout. Its UI is at `port`.

    An Airflow that the user has elsewhere, and its database, are left alone.
    """
    theirs = ("AIRFLOW__", "AIRFLOW_CONFIG")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(theirs)},
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        # Where tasks ask what to do.
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "60",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        # `airflow standalone` looks for `airflow` itself.
        "PATH": os.pathsep.join(
            [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        ),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "COFI_STORE": str(store),
    }


def prepare_database(airflow: dict[str, str], log_file: Path) -> None:
    """Make or upgrade Airflow's database; what Airflow says goes into a fresh log.

    One that this version of Airflow has prepared is left alone: Airflow takes seconds to look.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    log_file.write_text("")
    prepared, version = HOME / "prepared-by", importlib.metadata.version("apache-airflow-core")
    if (HOME / "airflow.db").exists() and prepared.exists() and prepared.read_text() == version:
        return
    with log_file.open("w") as log:
        print("preparing Airflow's database", flush=True)
        command = [*AIRFLOW, "db", "migrate"]
        subprocess.run(command, env=airflow, stdout=log, stderr=log, check=True)
    prepared.write_text(version)


def tail(path: Path, n: int) -> str:
    """The last lines of a file."""
    return "".join(path.read_text(errors="replace").splitlines(keepends=True)[-n:])
