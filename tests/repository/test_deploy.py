"""The secrets and the rights of the stack in containers. `make e2e` tests the stack itself."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet

from deploy.trigger import read_environment
from tests.support.repository import ROOT


def write_secrets(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "deploy" / "write_secrets.py", path],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_secrets_are_those_that_compose_wants(tmp_path: Path) -> None:
    assert write_secrets(tmp_path / ".env").returncode == 0
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    text = (tmp_path / ".env").read_text()
    wanted = re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yaml").read_text())
    # Compose cannot ask for what only a profile needs.
    assert {line.split("=")[0] for line in text.splitlines()} == {*wanted, "RAY_TOKEN"}
    Fernet(read_environment(tmp_path / ".env")["FERNET_KEY"])


def test_each_secret_is_new(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_secrets(tmp_path / name)
    lines = [set((tmp_path / name).read_text().splitlines()) for name in ("a", "b")]
    assert not lines[0] & lines[1]


def test_existing_secrets_are_kept(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FERNET_KEY=mine\n")
    refused = write_secrets(tmp_path / ".env")
    assert refused.returncode == 1
    assert "exists and is kept" in refused.stderr
    assert (tmp_path / ".env").read_text() == "FERNET_KEY=mine\n"


COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STORE = "store:/opt/airflow/store"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]
    assert not service.get("privileged")
    assert service.get("user") == {"postgres": "postgres", "redis": "redis"}.get(name)


def test_the_store_is_writable_where_tasks_run_alone() -> None:
    mounts = {
        name: [volume for volume in service.get("volumes", []) if volume.startswith("store:")]
        for name, service in SERVICES.items()
    }
    assert {name: volumes for name, volumes in mounts.items() if volumes} == {
        "airflow-init": [STORE],
        "airflow-worker": [STORE],
        "airflow-api-server": [f"{STORE}:ro"],
        "airflow-scheduler": [f"{STORE}:ro"],
        "ray-worker": [f"{STORE}:ro"],
    }


def test_the_only_port_is_open_for_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [port.split(":")[0] for port in ports] == ["127.0.0.1"]


def test_redis_wants_a_password_from_all() -> None:
    redis = SERVICES["redis"]
    assert redis["command"] == "redis-server --requirepass ${REDIS_PASSWORD}"
    broker = SERVICES["airflow-worker"]["environment"]["AIRFLOW__CELERY__BROKER_URL"]
    assert re.fullmatch(r"redis://:\$\{REDIS_PASSWORD:\?[^}]*\}@redis:6379/0", broker)


def test_ray_wants_a_token_from_all_and_runs_only_where_it_is_asked_for() -> None:
    for name in ("ray-head", "ray-worker", "airflow-worker"):
        environment = SERVICES[name]["environment"]
        assert environment["RAY_AUTH_MODE"] == "token"
        assert environment["RAY_AUTH_TOKEN"] == "${RAY_TOKEN:-}"
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert {name for name, names in profiles.items() if names == ["ray"]} == {
        "ray-head",
        "ray-worker",
    }


def test_packages_are_installed_by_their_hashes_everywhere() -> None:
    """What has no hash comes from this repository, or was installed by its hash before."""
    texts = [(ROOT / name).read_text().replace("\\\n", " ") for name in ("Makefile", "Dockerfile")]
    lines = [line for text in texts for line in text.splitlines()]
    installs = [line for line in lines if re.search(r"\bpip (sync|install|download)\b", line)]
    assert len(installs) >= 4
    for line in installs:
        assert "--require-hashes" in line or (
            "--no-deps" in line and "--no-build-isolation" in line
        ), line


@pytest.mark.parametrize("lock", ["requirements.txt", *(ROOT / "requirements").glob("*.txt")])
def test_every_package_of_a_lock_has_a_hash(lock: str | Path) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"^(?=\S+==)", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert not [block for block in blocks if "--hash=sha256:" not in block]
