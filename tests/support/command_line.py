"""The command line as a process of its own."""

import os
import subprocess
import sys

from tests.support.data import QUICK
from tests.support.repository import ROOT

SETTINGS = [word for text in QUICK for word in ("--set", text)]


def cofi(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cofi_jobs", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
