"""The wheel: it declares its needs, holds all that a run reads, runs elsewhere as `cofi`."""

import ast
import importlib.metadata
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cofi_jobs.store.store import Store
from tests.support.command_line import SETTINGS
from tests.support.data import random_ratings, write_ratings
from tests.support.repository import ROOT


@dataclass(frozen=True)
class Elsewhere:
    """An environment with the wheel in it, far from the checkout."""

    root: Path

    def run(self, command: str, *arguments: object) -> str:
        """What a command of the environment prints, started in the environment's folder."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        ended = subprocess.run(
            [self.root / "bin" / command, *map(str, arguments)],
            cwd=self.root,
            env=kept,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    @property
    def requirements(self) -> list[Requirement]:
        """What the wheel asks for, extras included."""
        [packages] = (self.root / "lib").glob("python*/site-packages")
        [wheel] = importlib.metadata.distributions(name="cofi", path=[str(packages)])
        return [Requirement(text) for text in wheel.requires or ()]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """The wheel is installed; its dependencies come from this environment, which takes no time."""
    root = tmp_path_factory.mktemp("elsewhere")
    build = ["hatchling", "build", "--target", "wheel", "--directory", str(root / "dist")]
    subprocess.run([sys.executable, "-m", *build], cwd=ROOT, check=True, capture_output=True)
    [wheel] = (root / "dist").glob("cofi-*.whl")
    uv = [sys.executable, "-m", "uv", "--quiet", "--offline"]
    subprocess.run([*uv, "venv", "--python", sys.executable, root / "env"], check=True)
    python = root / "env" / "bin" / "python"
    subprocess.run([*uv, "pip", "install", "--no-deps", "--python", python, wheel], check=True)
    [packages] = (root / "env" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Elsewhere(root / "env")


def test_a_small_run_from_another_folder(elsewhere: Elsewhere, tmp_path: Path):
    code = "import cofi_jobs; print(cofi_jobs.__file__)"
    assert elsewhere.run("python", "-c", code).startswith(str(elsewhere.root))
    ratings = write_ratings(tmp_path / "ratings.csv", random_ratings())
    store = Store(tmp_path / "store")
    elsewhere.run("cofi", "run", "--store", store.root, ratings, "--run-key", "n1", *SETTINGS)
    assert store.current() == "n1"
    assert "</html>" in (store.table("n1", "report") / "report.html").read_text()
    assert "CoFi run n1" in elsewhere.run("cofi", "summary", "--store", store.root)


def test_airflow_finds_the_plugin(elsewhere: Elsewhere):
    code = """if True:
        from importlib.metadata import distribution
        print(*(f"{point.group} {point.value}" for point in distribution("cofi").entry_points))
        """
    shown = elsewhere.run("python", "-c", code)
    assert "airflow.plugins cofi_jobs.airflow_integration.plugin:CofiReport" in shown


def test_what_it_asks_for_is_what_is_locked(elsewhere: Elsewhere):
    """As `pip check`, with all extras."""
    assert len(elsewhere.requirements) > 15
    for requirement in elsewhere.requirements:
        assert importlib.metadata.version(requirement.name) in requirement.specifier, requirement


def test_it_asks_for_all_that_it_imports(elsewhere: Elsewhere):
    """Airflow's own parts aside, which come with Airflow."""
    asked = {canonicalize_name(requirement.name) for requirement in elsewhere.requirements}
    owners = importlib.metadata.packages_distributions()
    for path in (ROOT / "cofi_jobs").rglob("*.py"):
        if path.parent.name == "airflow_integration":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in {name.partition(".")[0] for name in names}:
                if name != "cofi_jobs" and name not in sys.stdlib_module_names:
                    assert asked & set(map(canonicalize_name, owners[name])), f"{path}: {name}"
