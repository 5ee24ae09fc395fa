"""Runs one task in a child process: long computations in Airflow's process ignore time-outs.

The child ends when the task ends. An exception in the parent kills the child. If the parent is
killed outright, the pipe to the child's standard input breaks, and the child, which watches the
pipe, ends itself.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cofi_jobs.core.credentials import OPTIONS, given, hide
from cofi_jobs.core.errors import CofiError
from cofi_jobs.settings.resolve import to_environment
from cofi_jobs.store.open import open_store

ROOT = Path(__file__).parents[2]


def run_in_child(
    task: str,
    store: str,
    settings: Mapping[str, Any],
    run_key: str,
    log_line: Callable[[str], None],
    options: Mapping[str, Any] | None = None,
    sources: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run one task of a run and return its outcome; each line that it writes goes to `log_line`.

    `settings` are those that somebody set for this run. Like the store, the options of its file
    system, and the addresses of databases (`sources`, by variable), they are passed in the
    environment: every user of the machine can see the command line. Credentials are hidden in the
    lines. Raises CofiError if a retry cannot help, RuntimeError if it may.
    """
    target = open_store(store, dict(options or {}))
    # An earlier attempt's failure must not be taken for this one's.
    target.records.clear_failure(run_key, task)
    arguments = [task.replace("_", "-"), "--run-key", run_key]
    variables = {**to_environment(settings), **(sources or {})}
    code = call_in_child(arguments, store, variables, log_line, options)
    outcome, failure = target.outcome(run_key, task), target.failure(run_key, task)
    if code == 0 and outcome is not None:
        return outcome
    if code == 2:
        raise CofiError(f"{task} was called wrongly, see the lines above")
    if code == 1 and failure is not None and failure["permanent"]:
        raise CofiError(failure["error"])
    raise RuntimeError(
        f"{task} ended with exit code {code}" + (f": {failure['error']}" if failure else "")
    )


def call_in_child(
    arguments: list[str],
    store: str,
    variables: Mapping[str, str],
    log_line: Callable[[str], None],
    options: Mapping[str, Any] | None = None,
) -> int:
    """Run a command with `variables` in its environment, as above; returns its exit code."""
    command = [sys.executable, "-m", "cofi_jobs.airflow_integration.child", *arguments]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {
        **os.environ,
        **variables,
        "COFI_STORE": store,
        OPTIONS: json.dumps(options or {}),
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
    }
    secrets = given(environment)
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as child:
        try:
            assert child.stdout is not None
            for line in child.stdout:
                log_line(hide(line.rstrip(), secrets))
            return child.wait()
        except BaseException:  # also time-outs and SIGTERM, which Airflow raises as exceptions
            child.kill()
            child.wait()
            raise


def _end_with_parent() -> None:
    def watch() -> None:
        os.read(0, 1)  # nothing is ever sent: this returns when the parent is gone
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    from cofi_jobs.__main__ import run

    _end_with_parent()
    run()
