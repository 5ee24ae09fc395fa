"""Threads: how many a task may use, of its own, in DuckDB and in TensorFlow. Its peak of memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")

QUOTA = Path("/sys/fs/cgroup/cpu.max")
CLEAR_PEAK, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")

_threads = 0


def cores() -> int:
    """Cores that this process may use: its affinity, or its control group's quota if less."""
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
    except (OSError, ValueError):  # no control groups here
        return n
    return n if quota == "max" else max(1, min(n, int(quota) // int(period)))


def threads() -> int:
    """Threads that the running task may use."""
    return _threads or cores()


@contextmanager
def limited(n: int) -> Iterator[None]:
    """Use `n` threads meanwhile, 0: one for each core."""
    global _threads
    before, _threads = _threads, n
    one_blas_thread()
    try:
        yield
    finally:
        _threads = before


def forget_peak_memory() -> None:
    """Reset the peak of `peak_memory_mb`, where the system can: tasks may share a process."""
    with suppress(OSError):  # no Linux, or not allowed: the peak is that since the process began
        CLEAR_PEAK.write_text("5")


def peak_memory_mb() -> int | None:
    """The most memory that this process had at once, in MB (10^6 bytes); None if unknown."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return None
    peaks = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    peak = next(peaks, None)  # in units of 1024 bytes
    return None if peak is None else round(int(peak) * 1024 / 10**6)


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work` on each of `items`, in threads; results in the order of `items`.

    Few results wait to be taken, so memory does not grow with `items`. NumPy lets other threads run
    while it computes; many small matrices are faster this way than with BLAS' own threads, which
    wait for each other after every product.
    """
    one_blas_thread()
    n = threads()
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(n) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > n:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@cache
def one_blas_thread() -> None:
    """BLAS without threads of its own, in this process, from now on.

    Those stay awake for some time after a product, in case there is another, and take the cores
    from ours meanwhile. Once: looking for loaded libraries takes milliseconds, and training asks in
    every step. NumPy has loaded BLAS now.
    """
    threadpool_limits(1, user_api="blas")
