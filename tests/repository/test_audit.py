"""`make audit` against a server of OSV's API, and without one."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.audit import pinned
from tests.support.ports import free_port
from tests.support.repository import ROOT

LOCK = """\
good==1.0 \\
    --hash=sha256:00
    # via bad
bad==2.0.1 ; python_full_version >= '3.12' \\
    --hash=sha256:11
"""


class Osv(BaseHTTPRequestHandler):
    """Knows two advisories, of bad 2.0.1."""

    def do_POST(self) -> None:
        """Answer as OSV does."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        ids = {("bad", "2.0.1"): ["GHSA-1", "PYSEC-2"]}
        results: list[dict[str, Any]] = []
        for query in asked:
            of_package = ids.get((query["package"]["name"], query["version"]), [])
            results.append({"vulns": [{"id": id_} for id_ in of_package]} if of_package else {})
        self.send_response(200 if self.path == "/v1/querybatch" else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"results": results}).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def database() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def audit(tmp_path: Path, database: str, *options: str) -> tuple[int, list[str]]:
    (tmp_path / "lock.txt").write_text(LOCK)
    command = [sys.executable, str(ROOT / "deploy" / "audit.py"), str(tmp_path / "lock.txt")]
    command += ["--database", database, *options]
    ended = subprocess.run(command, capture_output=True, text=True)
    return ended.returncode, (ended.stdout + ended.stderr).splitlines()


def test_a_package_with_an_advisory_is_named(tmp_path: Path, database: str) -> None:
    assert audit(tmp_path, database) == (
        1,
        ["bad 2.0.1: GHSA-1, PYSEC-2", "2 packages, 1 with advisories"],
    )


def test_what_somebody_has_looked_at_is_no_failure(tmp_path: Path, database: str) -> None:
    assert audit(tmp_path, database, "--ignore", "GHSA-1")[1][0] == "bad 2.0.1: PYSEC-2"
    both = ("--ignore", "GHSA-1", "--ignore", "PYSEC-2")
    assert audit(tmp_path, database, *both) == (0, ["2 packages, 0 with advisories"])


@pytest.mark.parametrize("path", ["", "/other"])
def test_without_an_answer_it_says_so_and_ends_well(
    tmp_path: Path, database: str, path: str
) -> None:
    address = database + path if path else f"http://127.0.0.1:{free_port()}"
    code, [line] = audit(tmp_path, address)
    assert code == 0
    assert line.startswith(f"NOT CHECKED: {address} gave no answer (")


def test_every_package_of_the_locks_is_looked_up() -> None:
    text = (ROOT / "requirements.txt").read_text()
    names = [name for name, _ in pinned([text])]
    assert len(names) == sum("==" in line and line[0] not in " #" for line in text.splitlines())
    assert {"duckdb", "tensorflow", "apache-airflow"} <= {*names}
