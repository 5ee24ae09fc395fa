"""Every change below a folder is counted and attacked, whoever makes it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from torture import power
from torture.attack import changes as logged
from torture.attack import compiler, environment

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C compiler")
START = """
import sys
from pathlib import Path
from torture.attack import Attack, arm
root, log = Path(sys.argv[1]), Path(sys.argv[2])
arm(root, Attack(sys.argv[3], int(sys.argv[4])), log)
"""
BY_ALL = """
import os
import duckdb, pyarrow as pa, pyarrow.parquet as pq
from cofi_jobs.store.exchange import exchange
from cofi_jobs.store.files import replace_folder, write_json
pq.write_table(pa.table({"a": [1, 2]}), root / "arrow.parquet")
duckdb.execute(f"COPY (SELECT 1 AS a) TO '{root}/duckdb.parquet' (FORMAT parquet)")
write_json(root / "new/folder/record.json", {})
for name in ("a", "b"):
    (root / name).mkdir()
    (root / name / name).write_text(name)
exchange(root / "a", root / "b")
with replace_folder(root / "a") as new:
    (new / "c").symlink_to("nowhere")
os.truncate(root / "old", 1)
(root / "old").rename(root / "older")
"""
ONE_WRITE = """
import os
os.write(os.open(root / "text", os.O_CREAT | os.O_WRONLY), b"12345678")
"""


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return environment(compiler() or [], tmp_path_factory.mktemp("library"))


def run(
    tmp_path: Path, preloaded: Mapping[str, str], work: str, mode: str, at: int = 0
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "store").mkdir(exist_ok=True)
    arguments = [str(tmp_path / "store"), str(tmp_path / "log"), mode, str(at)]
    return subprocess.run(
        [sys.executable, "-c", START + work, *arguments],
        env={**preloaded, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_changes_by_python_duckdb_and_arrow_are_all_counted(tmp_path, preloaded):
    root = tmp_path / "store"
    root.mkdir()
    (root / "old").write_text("old")
    known = power.disk(root)
    done = run(tmp_path, preloaded, BY_ALL, "count")
    assert done.returncode == 0, done.stderr
    made = logged(tmp_path / "log")
    power.replay(known, root, made, tmp_path)
    assert [path for path in power.unseen(known, root) if not path.endswith("/older")] == []
    assert {"exchange", "symlink", "rename", "mkdir", "fsync"} <= {change.kind for change in made}
    for name in ("arrow.parquet", "duckdb.parquet"):
        assert any(c.kind == "write" and name in c.path for c in made), name


def test_a_change_that_was_not_counted_is_noticed(tmp_path):
    known = power.disk(tmp_path)
    (tmp_path / "unseen").touch()
    assert power.unseen(known, tmp_path) == [f"{tmp_path}/unseen"]


@pytest.mark.parametrize(
    ("mode", "at", "code", "content"),
    [
        ("kill", 1, -signal.SIGKILL, None),
        ("kill", 2, -signal.SIGKILL, ""),
        ("tear", 2, -signal.SIGKILL, "1234"),
        ("kill", 3, 0, "12345678"),
        ("EIO", 2, 1, ""),
        ("ENOSPC", 1, 1, None),
    ],
)
def test_attacks_strike_at_the_change_that_they_name(
    tmp_path, preloaded, mode: str, at: int, code: int, content: str | None
):
    done = run(tmp_path, preloaded, ONE_WRITE, mode, at)
    path = tmp_path / "store" / "text"
    assert done.returncode == code, done.stderr
    assert (path.read_text() if path.exists() else None) == content
    words = {"EIO": "Input/output error", "ENOSPC": "No space left on device"}
    assert words.get(mode, "") in done.stderr
