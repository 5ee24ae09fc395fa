"""Locks between processes."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from cofi_jobs.store.store import Store


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
