"""Locks between processes."""

import multiprocessing
import os
import re
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from cofi_jobs.store.store import Store
from tests.support.live import wait_for


def hold_lock(root: Path, ready: Path) -> None:
    with Store(root).lock("train"):
        ready.touch()
        time.sleep(60)


@pytest.mark.slow
def test_a_killed_process_gives_its_lock_back(store: Store, tmp_path: Path):
    ready = tmp_path / "ready"
    process = multiprocessing.get_context("spawn").Process(
        target=hold_lock, args=(store.root, ready)
    )
    process.start()
    while not ready.exists():
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGKILL)
    with store.lock("train"):
        pass
    process.join()


@pytest.mark.slow
def test_who_waits_says_for_whom(store: Store, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")

    def wait() -> None:
        with store.lock("publish", "n2", by="rollback"):
            pass

    thread = threading.Thread(target=wait)
    with store.lock("publish", "n1"):
        thread.start()
        wait_for(lambda: "waiting for" in caplog.text, "the second to wait", 10)
    thread.join()
    [record] = [record.getMessage() for record in caplog.records]
    host, process = re.escape(socket.gethostname()), os.getpid()
    assert re.fullmatch(
        rf"waiting for {host}, process {process} \(publish of run n1, since "
        r"[0-9-]{10} [0-9:]{8}\+00:00\), which holds .*\.lock-publish",
        record,
    )


def test_a_lock_that_is_free_or_soon_free_is_taken_without_words(
    store: Store, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    (store.root / ".lock-train").write_text("what a killed process left there, longer than most")
    for key in ("n1", "n2"):
        with store.lock("train", key):
            assert f"(train of run {key}, " in (store.root / ".lock-train").read_text()
    assert (store.root / ".lock-train").read_text() == ""
    assert caplog.text == ""
