"""Runs one task in a child process: long computations in Airflow's process ignore time-outs.

The child ends when the task ends. An exception in the parent kills the child. If the parent is
killed outright, the pipe to the child's standard input breaks, and the child, which watches the
pipe, ends itself.

The variables of the task come through the same pipe, as one line of JSON. The system's own way, the
environment of a new process, holds 128 KB a variable: too little for thousands of users to erase.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cofi_jobs.airflow_integration.child_log import ERROR
from cofi_jobs.core.credentials import OPTIONS, hide, secrets_in_environment
from cofi_jobs.core.errors import CofiError, NoInputError, SettingsError
from cofi_jobs.settings.resolve import to_environment
from cofi_jobs.store.open import open_store

ROOT = Path(__file__).parents[2]


class ChildError(RuntimeError):
    """A child has failed, with the reason that it gave, if any."""

    def __init__(self, command: str, code: int, reason: str) -> None:
        if code == -signal.SIGKILL:
            reason = "it was killed, as when the machine or its container has no memory left"
        elif code < 0:
            reason = f"it was ended by {signal.Signals(-code).name}"
        super().__init__(
            f"{command} ended with exit code {code}" + (f": {reason}" if reason else "")
        )
        self.code, self.reason = code, reason


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
    system, and the addresses of databases (`sources`, by variable), they are passed as variables:
    every user of the machine can see the command line. Credentials are hidden in the lines. Raises
    CofiError if a retry cannot help (NoInputError without any ratings), RuntimeError if it may.
    """
    target = open_store(store, dict(options or {}))
    # An earlier attempt's failure must not be taken for this one's.
    target.records.clear_failure(run_key, task)
    arguments = [task.replace("_", "-"), "--run-key", run_key]
    variables = {**to_environment(settings), **(sources or {})}
    try:
        call_in_child(arguments, store, variables, log_line, options)
    except ChildError as error:
        failure = target.failure(run_key, task)
        if failure is not None and failure["permanent"]:
            kind = NoInputError if "no_input" in failure else CofiError
            raise kind(failure["error"]) from None
        if error.code == 2:
            raise CofiError(error.reason or f"{error}, see the lines above") from None
        raise ChildError(task, error.code, failure["error"] if failure else error.reason) from None
    outcome = target.outcome(run_key, task)
    if outcome is None:
        raise RuntimeError(f"{task} has ended, but left no outcome in {target.location}")
    return outcome


def call_in_child(
    arguments: list[str],
    store: str,
    variables: Mapping[str, str],
    log_line: Callable[[str], None],
    options: Mapping[str, Any] | None = None,
) -> None:
    """Run a command with `variables`, of any length; each line goes to `log_line`.

    Raises ChildError if it fails, SettingsError for a variable that no environment can hold.
    """
    command = [sys.executable, "-m", "cofi_jobs.airflow_integration.child", *arguments]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    sent = {**variables, "COFI_STORE": store, OPTIONS: json.dumps(options or {})}
    if unusable := [name for name, value in sent.items() if "\0" in value]:
        raise SettingsError(
            f"found a NUL character in {', '.join(unusable)}, expected text without"
        )
    secrets = secrets_in_environment({**environment, **sent})
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    ) as child:
        reason = _follow(child, sent, lambda line: log_line(hide(line, secrets)))
    if child.returncode:
        raise ChildError(arguments[0], child.returncode, hide(reason, secrets))


def _follow(
    child: subprocess.Popen[str], sent: Mapping[str, str], log_line: Callable[[str], None]
) -> str:
    """Send variables to a child and log its lines until it ends; returns its error, if it has one.

    The child does not outlive an exception here.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    # In a thread: the pipe may be full until the child reads, which may write lines before.
    sender = threading.Thread(target=_send, args=(sent, child.stdin.fileno()))
    sender.start()
    reason = ""
    try:
        for line in map(str.rstrip, child.stdout):
            if line.startswith(ERROR):
                reason = line.removeprefix(ERROR)
            log_line(line)
        child.wait()
    except BaseException:  # also time-outs and SIGTERM, which Airflow raises as exceptions
        child.kill()
        child.wait()
        raise
    finally:
        sender.join()
    return reason


def _send(variables: Mapping[str, str], pipe: int) -> None:
    """Write variables to a child's standard input, as `_receive` reads them there."""
    content = (json.dumps(dict(variables)) + "\n").encode()
    with contextlib.suppress(BrokenPipeError):  # a child that has ended tells why by its exit code
        while content:
            content = content[os.write(pipe, content) :]


def _receive() -> None:
    """Take the variables that the parent sends into the environment of this process."""
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        os._exit(1)  # the parent is gone
    os.environ.update(json.loads(line))


def _end_with_parent() -> None:
    def watch() -> None:
        os.read(0, 1)  # nothing more is sent: this returns when the parent is gone
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    from cofi_jobs.__main__ import run

    _receive()
    _end_with_parent()
    run()
