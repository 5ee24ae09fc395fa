"""What of the machine a task uses: threads, the same number in DuckDB, TensorFlow and BLAS, and the GPU."""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from cofi_jobs.errors import SettingsError

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)

QUOTA = Path("/sys/fs/cgroup/cpu.max")

_threads = 0
_lock, _inside = threading.Lock(), 0
_limits: Any = None


def cores() -> int:
    """Cores that this process may use: those of its affinity, or of its control group's quota if that is less."""
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
    except (OSError, ValueError):  # no control groups here
        return n
    return n if quota == "max" else max(1, min(n, int(quota) // int(period)))


def threads() -> int:
    """Threads that the running task may use."""
    return _threads or cores()


def set_up_tensorflow(device: str) -> None:
    """Threads and device of TensorFlow, for a task that uses it; once a process, before anything is computed.

    Memory of a GPU is taken as it is needed, so that others can use it too. Raises SettingsError where the setting
    `device` wants a GPU and there is none.
    """
    import tensorflow as tf  # here: it takes seconds, and few tasks need it

    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise SettingsError(
            "setting device: found no GPU that TensorFlow can use, expected one; auto and cpu do without"
        )
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads())
        tf.config.threading.set_inter_op_parallelism_threads(threads())
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.set_visible_devices([] if device == "cpu" else gpus, "GPU")
    except RuntimeError:  # it has computed before and cannot be changed any more
        log.warning("TensorFlow keeps the threads and the device of an earlier task of this process")


@contextmanager
def limited(n: int) -> Iterator[None]:
    """Use `n` threads meanwhile, 0: one for each core."""
    global _threads
    before, _threads = _threads, n
    try:
        with _libraries().limit(limits=threads(), user_api="blas"):
            yield
    finally:
        _threads = before


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work` on each of `items`, in threads of one BLAS thread each; results in the order of `items`.

    Few results wait to be taken, so memory does not grow with `items`. NumPy lets other threads run while it computes;
    many small matrices are faster so than with BLAS' own threads, which wait for each other after every product.
    """
    n = threads()
    waiting: deque[Future[Result]] = deque()
    with _one_blas_thread(), ThreadPoolExecutor(n) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > n:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@cache
def _libraries() -> ThreadpoolController:
    """Looking for loaded libraries takes milliseconds, and training asks in every step. NumPy has loaded BLAS now."""
    return ThreadpoolController()


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """BLAS at one thread meanwhile. It is a setting of the whole process: the last of several to leave undoes it."""
    global _inside, _limits
    with _lock:
        _inside += 1
        if _inside == 1:
            _limits = _libraries().limit(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _limits.restore_original_limits()
