"""A process that changes a store is killed before each of its changes in turn."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cofi_jobs.store.store import Store


def die_before(step: int, changes: Iterable[tuple[Any, str]]) -> None:
    """Kill this process before the step-th call of the functions that change a store: (where it is, its name)."""
    left = [step]

    def counted(original: Any) -> Any:
        def change(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return change

    for owner, name in changes:
        setattr(owner, name, counted(getattr(owner, name)))


def killed_at_each_step(
    work: Callable[[str, int], None], fresh: Callable[[int], Store], preload: list[str]
) -> Iterator[tuple[Store, bool]]:
    """The store after `work(root, step)` in a process of its own, and whether it was killed, until it was not.

    `fresh` makes the store for each step, the first is 1.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(preload)
    step, code = 0, None
    while code != 0:
        step += 1
        store = fresh(step)
        process = context.Process(target=work, args=(str(store.root), step))
        process.start()
        process.join()
        code = process.exitcode
        assert code in (0, -signal.SIGKILL)
        yield store, code != 0
