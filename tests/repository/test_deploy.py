"""The secrets of the stack in containers. The stack itself is tested by `make e2e`."""

import re
import subprocess
import sys
from pathlib import Path

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
    assert {line.split("=")[0] for line in text.splitlines()} == set(wanted)
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
