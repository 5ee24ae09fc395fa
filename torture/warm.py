"""Processes that need not import: forked from this one, which has imported all and runs nothing.

TensorFlow, Arrow and DuckDB start threads once they work, and threads do not survive a fork. So
this process only forks; bases, attacks and checks are made by its children and theirs.
"""

import gc
import importlib
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cofi_jobs.core.machine import one_blas_thread
from cofi_jobs.model.keras_import import import_keras
from cofi_jobs.model.quiet_start import quiet_start
from cofi_jobs.settings.schema import section
from cofi_jobs.tasks.registry import DECLARED
from torture import story

LONGEST = 1800  # seconds of a process, also on a machine that is busy with other work


@dataclass(frozen=True)
class Ended:
    """How a process ended: what its function returned, its error, or neither if it was killed."""

    value: Any = None
    error: str | None = None
    details: str = ""
    signal: int = 0

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.signal == signal.SIGKILL

    @property
    def texts(self) -> list[str]:
        """The texts that its function returned, or how it failed to."""
        if self.signal:
            return [f"a process was ended by signal {self.signal}"]
        return [f"{self.error}\n{self.details}"] if self.error else list(self.value)


def warm_up() -> None:
    """Import what the attacked work needs."""
    with quiet_start("cpu"):
        import_keras()
        for task in DECLARED:
            if task != "deliver":  # needs a database
                importlib.import_module(f"cofi_jobs.tasks.{task}")
        for module in ("cofi_jobs.tasks.erase", "cofi_jobs.read", "duckdb"):
            importlib.import_module(module)
    section("n_factors")  # makes the schema of all settings
    one_blas_thread()  # looks through all libraries of the process
    for night in story.NIGHTS:
        story.night_file(night)
    gc.freeze()  # else each child would copy the memory of what is imported, to look for garbage


def forked(work: Callable[..., Any], *arguments: Any) -> Ended:
    """Run a function in a process of its own."""
    [(_, ended)] = forked_each(work, [arguments])
    return ended


def done(work: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns that is run in a process of its own. Raises RuntimeError."""
    ended = forked(work, *arguments)
    if ended.error or ended.signal:
        raise RuntimeError("\n".join(ended.texts))
    return ended.value


def forked_each(
    work: Callable[..., Any], calls: Iterable[tuple[Any, ...]], at_once: int = 1
) -> Iterator[tuple[tuple[Any, ...], Ended]]:
    """Run a function for each of the arguments, `at_once` processes beside each other."""
    with TemporaryDirectory() as folder:
        running: dict[int, tuple[Any, ...]] = {}
        try:
            for arguments in calls:
                if len(running) >= at_once:
                    yield _wait(running, Path(folder))
                pid = os.fork()
                if pid == 0:
                    _end(Path(folder) / str(os.getpid()), work, arguments)
                running[pid] = arguments
            while running:
                yield _wait(running, Path(folder))
        finally:  # of an attack that is interrupted
            for pid in running:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _end(result: Path, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signal.alarm(LONGEST)  # what waits for ever is a violation
    try:
        ended = Ended(value=work(*arguments))
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        ended = Ended(error=text, details=traceback.format_exc())
    try:
        result.write_bytes(pickle.dumps(ended))
    finally:
        os._exit(0)


def _wait(running: dict[int, tuple[Any, ...]], folder: Path) -> tuple[tuple[Any, ...], Ended]:
    pid, status = os.waitpid(-1, 0)
    while pid not in running:  # a server that ended
        pid, status = os.waitpid(-1, 0)
    arguments, result = running.pop(pid), folder / str(pid)
    if os.WIFSIGNALED(status):
        return arguments, Ended(signal=os.WTERMSIG(status))
    ended: Ended = pickle.loads(result.read_bytes())
    return arguments, ended
