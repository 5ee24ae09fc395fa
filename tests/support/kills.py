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
    work: Callable[[str, int], None], fresh: Callable[[int], Store], every: int = 1
) -> Iterator[tuple[Store, bool]]:
    """The store after `work(root, step)` in its own process, and whether that was killed.

    `fresh` makes the store for each step: 1 and each `every`-th after it. `make torture` kills
    before all of them.
    """
    step, code = 1 - every, None
    while code != 0:
        step += every
        store = fresh(step)
        code = exit_code(work, str(store.root), step)
        assert code in (0, -signal.SIGKILL)
        yield store, code != 0
