"""The wheel in environments of their own, as people with an Airflow install it: make install-check.

Nothing of the checkout is imported there. Airflow's own constraints are used if AIRFLOW_CONSTRAINTS
names a folder with files constraints-<version>.txt. Else they are what the registry had in the days
after the release, which is what Airflow's constraints are made of.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.data import QUICK_VALUES, random_ratings, write_ratings
from tests.support.repository import ROOT

# The newest patch of each minor version that is supported, and a day just after its release.
VERSIONS = {"3.3.2": "2026-09-20", "3.2.2": "2026-06-01"}
NEWEST = next(iter(VERSIONS))
PROVIDERS = ("slack", "smtp", "google", "amazon")
UV = [sys.executable, "-m", "uv", "--quiet"]
EXTRAS = "airflow,s3"
pytestmark = pytest.mark.timeout(4 * 3600)  # whole environments, over a network that may be slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = ["hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run([sys.executable, "-m", *build], cwd=ROOT, check=True, capture_output=True)
    [built] = folder.glob("cofi-*.whl")
    return built


def constraints(version: str, folder: Path) -> list[str]:
    """The option that keeps packages to what Airflow was released with."""
    if given := os.environ.get("AIRFLOW_CONSTRAINTS"):
        return ["--constraint", f"{given}/constraints-{version}.txt"]
    providers = [f"apache-airflow-providers-{name}" for name in PROVIDERS]
    resolved = folder / "constraints.txt"
    resolve(folder, [f"apache-airflow=={version}", *providers], resolved, VERSIONS[version])
    return ["--constraint", str(resolved)]


def resolve(folder: Path, wanted: list[str], resolved: Path, day: str = "", *options: str) -> None:
    asked = folder / "asked.in"
    asked.write_text("\n".join(wanted))
    limit = ["--exclude-newer", day] if day else []
    subprocess.run([*UV, "pip", "compile", *limit, *options, asked, "-o", resolved], check=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_in_an_airflow(version: str, wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    python = ["--python", str(environment / "bin" / "python")]
    wanted = [f"cofi[{EXTRAS}] @ file://{wheel}", f"apache-airflow=={version}"]
    subprocess.run([*UV, "venv", "--python", sys.executable, environment], check=True)
    subprocess.run(
        [*UV, "pip", "install", *python, *constraints(version, tmp_path), *wanted], check=True
    )
    airflow = Installed(environment, tmp_path)
    assert airflow("version").split()[-1] == version
    airflow("db", "migrate")
    assert "No data found" in airflow("dags", "list-import-errors", "--local")
    assert "cofi_report" in airflow("plugins", "--output", "json")

    landing = tmp_path / "store" / "landing"
    landing.mkdir(parents=True)
    write_ratings(landing / "ratings.csv", random_ratings())
    airflow("dags", "test", "cofi_nightly", "--conf", json.dumps(QUICK_VALUES))
    assert (tmp_path / "store" / "current" / "recommendations").is_dir()


class Installed:
    """The command `airflow` of an environment, with a home of its own; nothing else is set."""

    def __init__(self, environment: Path, home: Path) -> None:
        self.command = environment / "bin" / "airflow"
        self.home = home
        self.variables = {
            "PATH": os.pathsep.join([str(environment / "bin"), os.environ["PATH"]]),
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
            "COFI_STORE": str(home / "store"),
            "COFI_FIRST_TUNING_MINUTES": "0",
        }

    def __call__(self, *arguments: str) -> str:
        ended = subprocess.run(
            [self.command, *arguments],
            cwd=self.home,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert ended.returncode == 0, ended.stdout[-4000:]
        return ended.stdout


def test_the_providers_of_google_and_amazon_resolve_beside_it(wheel: Path, tmp_path: Path) -> None:
    wanted = [
        f"cofi[airflow,gcs,postgres,s3,tune] @ file://{wheel}",
        f"apache-airflow=={NEWEST}",
        *(f"apache-airflow-providers-{name}" for name in PROVIDERS),
    ]
    options = constraints(NEWEST, tmp_path)
    resolve(tmp_path, wanted, tmp_path / "resolved.txt", "", *options)
    assert "apache-airflow-providers-google==" in (tmp_path / "resolved.txt").read_text()
