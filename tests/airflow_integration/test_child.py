"""A task in its child process: its result, its kinds of failure, that it dies with its task."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from cofi_jobs.airflow_integration.child import ROOT, call_in_child, run_in_child
from cofi_jobs.core.errors import CofiError
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings, write_ratings

KEY = "night-1"
# As a task of Airflow is run: SIGTERM becomes an exception, and SIGKILL can be met by nothing.
PARENT = f"""
import signal, sys
from cofi_jobs.airflow_integration.child import run_in_child

def stop(*_):
    raise SystemExit(3)

signal.signal(signal.SIGTERM, stop)
settings = dict(text.split("=") for text in sys.argv[2:])
run_in_child("train", sys.argv[1], settings, "{KEY}", lambda line: print(line, flush=True))
"""


@pytest.fixture
def normalized(store: Store, quick: Settings) -> Store:
    """A store whose run is ready for `train`."""
    write_ratings(store.landing / "ratings.csv", random_ratings())
    for task in ("ingest", "normalize"):
        run_task(task, store, quick, KEY)
    return store


def in_child(
    task: str, store: Store | str, log_line: Callable[[str], None] = print, **settings: Any
) -> dict[str, Any]:
    root = store.root if isinstance(store, Store) else store
    return run_in_child(
        task, str(root), {**dict(text.split("=") for text in QUICK), **settings}, KEY, log_line
    )


def only_child(pid: int | None = None) -> psutil.Process:
    [child] = (
        p
        for p in psutil.Process(pid).children()
        if "cofi_jobs.airflow_integration.child" in p.cmdline()
    )
    return child


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_outcome_and_settings(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ratings(store.landing / "ratings.csv", random_ratings())
    monkeypatch.setenv("COFI_THREADS", "1")
    monkeypatch.setenv("COFI_RATING_HIGH", "7")
    lines: list[str] = []
    outcome = in_child("ingest", store, lines.append, rating_low=-1.5, rating_high=None)
    assert outcome == store.outcome(KEY, "ingest")
    assert outcome["rows_taken"] == len(random_ratings())
    assert any(f"{len(random_ratings())} taken, 0 rejected" in line for line in lines)
    expected = load_settings([*QUICK, "rating_low=-1.5", "threads=1", "rating_high="])
    assert (
        outcome["settings"] == expected.model_dump()
    )  # the given ones first, then the environment's


def test_bad_data_is_not_to_be_retried(store: Store) -> None:
    (store.landing / "ratings.csv").write_text("shop,price\n1,2\n")
    with pytest.raises(
        CofiError, match=r"ratings\.csv: found the columns 'shop', 'price', expected"
    ):
        in_child("ingest", store)


def test_bad_settings_are_not_to_be_retried(store: Store) -> None:
    lines: list[str] = []
    with pytest.raises(
        CofiError, match=r"^setting top_n: found '0', allowed is: integer, at least 1"
    ):
        in_child("ingest", store, lines.append, top_n=0)
    assert any("top_n" in line and "at least 1" in line for line in lines)


def test_missing_task_is_not_to_be_retried(store: Store) -> None:
    with pytest.raises(CofiError, match="needs the task ingest of the same run"):
        in_child("normalize", store)


def test_unusable_store_is_to_be_retried() -> None:
    with pytest.raises(
        RuntimeError, match=r"ingest ended with exit code 1: FileNotFoundError: .*cofi"
    ):
        in_child("ingest", "/proc/cofi-store")  # where not even root can write


def test_crash_is_not_taken_for_an_earlier_failure(store: Store) -> None:
    store.records.write_failure(KEY, "ingest", {"error": "bad data of long ago", "permanent": True})
    store.landing.rmdir()
    store.landing.write_text("in the way of the folder")
    with pytest.raises(RuntimeError, match=r"exit code 1: FileExistsError: .*landing"):
        in_child("ingest", store)


@pytest.fixture
def endless(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store in which `ingest` waits for ever, with lines to see: Python tells what it imports."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with store.lock("ingest"):
        yield store


@pytest.mark.slow
def test_killed_child_is_to_be_retried(endless: Store) -> None:
    killed: list[psutil.Process] = []

    def kill(_: str) -> None:
        if not killed:
            killed.append(only_child())
            killed[0].kill()

    with pytest.raises(RuntimeError, match=r"ingest ended with exit code -9: it was killed, as"):
        in_child("ingest", endless, kill)


def test_child_dies_when_the_task_raises(endless: Store) -> None:
    children: list[psutil.Process] = []

    def time_out(_: str) -> None:
        children.append(only_child())  # the line came while the child works
        raise TimeoutError("as Airflow's execution_timeout does")

    with pytest.raises(TimeoutError):
        in_child("ingest", endless, time_out)
    assert is_gone(children[0])


def test_settings_and_store_are_not_on_the_command_line(endless: Store) -> None:
    """There every user of the machine would see them."""
    commands: list[list[str]] = []

    def look(_: str) -> None:
        commands.append(only_child().cmdline())
        raise InterruptedError

    with pytest.raises(InterruptedError):
        in_child("ingest", endless, look, rating_high=None)
    assert commands[0][1:] == [
        *("-m", "cofi_jobs.airflow_integration.child", "ingest"),
        *("--run-key", KEY),
    ]


# The child of these tests tells which variables it was given.
TELLS = """
import os, sys
def tell(event, arguments):
    if event == "os.putenv" and arguments[0].startswith(b"COFI_"):
        print("given", *(os.fsdecode(argument) for argument in arguments), flush=True)
sys.addaudithook(tell)
"""


@pytest.fixture
def telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(TELLS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("telling")
def test_settings_and_store_reach_the_child(store: Store) -> None:
    lines: list[str] = []
    with pytest.raises(CofiError):
        in_child("normalize", store, lines.append, rating_high=None)
    told = [line.removeprefix("given ") for line in lines if line.startswith("given ")]
    sent = {name: value for name, _, value in (line.partition(" ") for line in told)}
    sent.pop("COFI_TRACEBACK")  # of the command line itself
    expected = dict(text.split("=") for text in [*QUICK, "rating_high=null"])
    places = {"COFI_STORE": str(store.root), "COFI_STORE_OPTIONS": "{}"}
    assert sent == {"COFI_" + name.upper(): value for name, value in expected.items()} | places


@pytest.mark.parametrize("n_letters", [10, 1 << 17, 1 << 20])
def test_settings_may_be_long(store: Store, n_letters: int) -> None:
    """The environment of a new process holds 128 KB a variable."""
    write_ratings(store.landing / "ratings.csv", random_ratings())
    outcome = in_child("ingest", store, missing="NULL, " + "x" * n_letters)
    assert len(outcome["settings"]["missing"]) == n_letters + 6


def test_the_form_of_cofi_erase_takes_thousands_of_users(store: Store, quick: Settings) -> None:
    """Thirteen letters each, as ids of customers are."""
    frame = random_ratings().astype({"userId": str})
    frame["userId"] = "customer-" + frame["userId"].str.zfill(4)
    write_ratings(store.landing / "ratings.csv", frame)
    run_task("ingest", store, quick, KEY)
    users = [f"customer-{number:04d}" for number in range(20, 20_020)]
    lines: list[str] = []
    variables = {"COFI_ERASE": json.dumps(users)}
    call_in_child(["erase"], str(store.root), variables, lines.append)
    taken = pq.read_table(store.ratings(KEY)).column("user_id").to_pylist()
    assert set(taken) == set(frame["userId"]) - set(users)
    assert taken


def test_a_character_that_no_environment_holds_is_refused(store: Store) -> None:
    with pytest.raises(CofiError, match="found a NUL character in COFI_SOURCE_QUERY, expected"):
        in_child("ingest", store, source_query="SELECT 1\0")


@pytest.mark.usefixtures("telling")
def test_credentials_reach_the_child_and_nothing_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This child tells all that it was given, in its lines and in the error that it leaves."""
    monkeypatch.setenv("COFI_STORE_OPTIONS", '{"password": "of another store"}')
    options = {
        "username": "night",
        "password": "canary-1",
        "client_kwargs": {"secret_access_key": ["canary-2"], "region": "north-1"},
        "keyfile": {"lines": "-----\ncanary-3\n"},
    }
    (store.landing / "ratings.csv").write_text("canary-1,canary-2,canary-3\n1,2,3\n")
    lines: list[str] = []
    with pytest.raises(CofiError, match=r"'\*\*\*', '\*\*\*', '\*\*\*'") as raised:
        run_in_child("ingest", str(store.root), {}, KEY, lines.append, options)
    [given] = (line for line in lines if line.startswith("given COFI_STORE_OPTIONS"))
    assert '"night"' in given
    assert '"north-1"' in given
    assert given.count("***") == 4
    remains = [
        *lines,
        str(raised.value),
        *(path.read_text() for path in store.root.glob("tasks/**/*.json")),
    ]
    assert "found the columns" in remains[-1]
    assert not [text for text in remains if "canary" in text or "another" in text]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 3), (signal.SIGKILL, -9)])
def test_child_dies_with_the_task_process(
    normalized: Store, sent: int, code: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", PARENT, str(normalized.root), *QUICK, "rating_steps=100000"]
    child = None
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        try:
            assert parent.stdout is not None
            # It has started to learn, for minutes. This comes first: what TensorFlow says at its
            # start is held back.
            assert parent.stdout.readline().startswith("INFO cofi_jobs.tasks.train: holdout model")
            child = only_child(parent.pid)
            parent.send_signal(sent)
            assert parent.wait(10) == code
            deadline = time.monotonic() + 10
            while not is_gone(child):
                assert time.monotonic() < deadline, "the child outlived its task"
                time.sleep(0.02)
        finally:
            parent.kill()
            if child is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
    assert normalized.outcome(KEY, "train") is None
