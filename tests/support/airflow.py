"""Commands in a private Airflow home."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.repository import ROOT

DAGS = ROOT / "dags"


def in_airflow(home: Path, *command: str, **settings: str) -> Any:
    """What a Python command leaves in `home`, Airflow's home; its log is there as well."""
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "COFI_"))
        },
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "PYTHONPATH": str(ROOT),
        **settings,
    }
    with (home / "log").open("w") as log:
        ended = subprocess.run(
            [sys.executable, *command],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=1400,
        )
    assert ended.returncode == 0, (home / "log").read_text()[-4000:]
    return json.loads((home / "result.json").read_text())
