"""Processes of their own that need not import again: a server that has imported forks them.

TensorFlow is imported there, too. Its own threads start with its first operation, so a fork has
none to miss.
"""

import gc
import multiprocessing
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PRELOADED = (
    "cofi_jobs.cli.app",
    "cofi_jobs.cli.show",
    "cofi_jobs.erasure.erase",
    "cofi_jobs.store.compaction",
    "cofi_jobs.tasks.evaluate",
    "cofi_jobs.tasks.ingest",
    "cofi_jobs.tasks.normalize",
    "cofi_jobs.tasks.publish",
    "cofi_jobs.tasks.recommend",
    "cofi_jobs.tasks.report",
    "cofi_jobs.tasks.similar_items",
    "cofi_jobs.tasks.train",
    "pandas",
    "pytest",
    "s3fs",
)


def exit_code(
    work: Callable[..., None], *arguments: Any, environment: Mapping[str, str] | None = None
) -> int:
    """Run a function in its own process, in this environment or the one given; how it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    given = dict(os.environ if environment is None else environment)
    process = context.Process(target=_in_environment, args=(given, Path.cwd(), work, arguments))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _in_environment(
    environment: dict[str, str], folder: Path, work: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    # A search for garbage among all that was imported would copy the server's memory.
    gc.freeze()
    # The server was started by the first test that needed one, in that test's environment.
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    work(*arguments)
