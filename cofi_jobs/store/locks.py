"""Locks between processes that share a disk. A process that waits logs who holds one."""

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)

SILENT_SECONDS = 1.0  # a wait up to this is not logged
LOOK_SECONDS = 0.02
LONGEST_HOLDER = 1000  # bytes


def holder_now(work: str) -> str:
    """Who holds a lock from now on, for people: host, process, what for, since when."""
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    return f"{socket.gethostname()}, process {os.getpid()} ({work}, since {since})"


def work_of(task: str, run_key: str | None) -> str:
    """What a lock is held for, in words."""
    return f"{task} of run {run_key}" if run_key else task


@contextmanager
def file_lock(path: Path, work: str) -> Iterator[None]:
    """Held by one process at a time. The system releases the lock when the process ends.

    The file says who holds it, and for what `work`, for those who wait. Only the system's lock
    counts: what a killed process has left in the file is replaced by the next holder.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _free_within(descriptor, SILENT_SECONDS):
            log.info("waiting for %s, which holds %s", _holder(descriptor), path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        _write_holder(descriptor, holder_now(work))
        try:
            yield
        finally:
            _write_holder(descriptor, "")
    finally:
        os.close(descriptor)


def _free_within(descriptor: int, seconds: float) -> bool:
    """Take the lock if it gets free in time; returns whether it was taken."""
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(LOOK_SECONDS)


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, LONGEST_HOLDER, 0).decode("utf-8", "replace").strip()
    return text or "another process"


def _write_holder(descriptor: int, holder: str) -> None:
    with suppress(OSError):  # a full disk must not block the lock
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
