"""A process that changes a store is killed before each of its kinds of changes in turn."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from cofi_jobs.store.store import Store
from tests.support.processes import exit_code


class Kinds:
    """How many changes of a store there were, of which kinds; `make torture` tries all of them.

    Changes by the same function from the same lines of CoFi are of one kind, such as those of a
    loop. The first `of_each` count.
    """

    def __init__(self, of_each: int = 1) -> None:
        self._of_each = of_each
        self._seen = Counter[tuple[Any, ...]]()

    def count(self, function: str) -> int:
        """How many with the change that this function is about to make."""
        kind = (function, *_lines_of_cofi())
        self._seen[kind] = min(self._seen[kind] + 1, self._of_each)
        return self._seen.total()


def die_before(step: int, changes: Iterable[tuple[Any, str]], of_each: int = 1) -> None:
    """Kill this process before the step-th change of a store by one of these: (place, name)."""
    kinds = Kinds(of_each)

    def counted(original: Any, name: str) -> Any:
        def change(*arguments: Any, **options: Any) -> Any:
            if kinds.count(name) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return change

    for owner, name in changes:
        setattr(owner, name, counted(getattr(owner, name), name))


def _lines_of_cofi() -> Iterator[tuple[str, int]]:
    """Where the code of CoFi stands that is under way."""
    frame: FrameType | None = sys._getframe()
    while frame:
        if frame.f_globals["__name__"].startswith("cofi_jobs."):
            yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back


def killed_at_each_step(
    work: Callable[[str, int], None], fresh: Callable[[int], Store]
) -> Iterator[tuple[Store, bool]]:
    """The store after `work(root, step)` in its own process, and whether that was killed.

    `fresh` makes the store for each step.
    """
    step, code = 0, None
    while code != 0:
        step += 1
        store = fresh(step)
        code = exit_code(work, str(store.root), step)
        assert code in (0, -signal.SIGKILL)
        yield store, code != 0
