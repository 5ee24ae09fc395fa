"""A process that changes a store is killed before each of its changes in turn."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cofi_jobs.store.store import Store
from tests.support.processes import exit_code


def die_before(step: int, changes: Iterable[tuple[Any, str]]) -> None:
    """Kill this process before the step-th call of functions that change a store: (place, name)."""
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
    work: Callable[[str, int], None], fresh: Callable[[int], Store]
) -> Iterator[tuple[Store, bool]]:
    """The store after `work(root, step)` in its own process, and whether that was killed.

    `fresh` makes the store for each step, the first is 1.
    """
    step, code = 0, None
    while code != 0:
        step += 1
        store = fresh(step)
        code = exit_code(work, str(store.root), step)
        assert code in (0, -signal.SIGKILL)
        yield store, code != 0
