"""The command line as a process of its own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.data import QUICK
from tests.support.processes import exit_code
from tests.support.repository import ROOT

SETTINGS = [word for text in QUICK for word in ("--set", text)]


def cofi(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m cofi_jobs` with these arguments and variables; forked, which saves imports."""
    command = ["cofi", *map(str, arguments)]
    with tempfile.TemporaryDirectory(prefix="cofi-process-") as folder:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        given = {**os.environ, **environment}
        code = exit_code(_run, command, outputs, environment=given)
        return subprocess.CompletedProcess(command, code, *(path.read_text() for path in outputs))


def _run(command: list[str], outputs: list[Path]) -> None:
    from cofi_jobs.__main__ import run

    for descriptor, path in ((0, Path(os.devnull)), *zip((1, 2), outputs, strict=True)):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT
        os.dup2(os.open(path, flags), descriptor)
    os.chdir(ROOT)
    sys.argv = command
    run()
