"""The order of runs is that in which they began, as order.json of the store has it. Pure.

Neither the text of a run's key nor a clock decides, so a run that is named `test`, or that ran
while the clock was ahead, does not come after all later ones.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from cofi_jobs.store.record_shapes import BegunRun


@dataclass(frozen=True)
class RunOrder:
    """The places of runs: first those that have begun, then all others, by their text.

    Of a store that older versions made, no run has a place of its own until the next one begins.
    """

    begun: Sequence[str] = ()

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {key: place for place, key in enumerate(self.begun)}

    def place(self, run_key: str) -> tuple[int, str]:
        """What runs are sorted by."""
        return self._places.get(run_key, len(self.begun)), run_key

    def in_order(self, run_keys: Iterable[str]) -> list[str]:
        """These runs, each once, the oldest first."""
        return sorted(set(run_keys), key=self.place)

    def before(self, run_key: str, run_keys: Iterable[str]) -> list[str]:
        """Those of these runs that come before a run, the oldest first."""
        return self.in_order(key for key in run_keys if self.is_before(key, run_key))

    def up_to(self, run_key: str, run_keys: Iterable[str]) -> list[str]:
        """Those of these runs that do not come after a run, the oldest first."""
        return self.in_order(key for key in run_keys if not self.is_before(run_key, key))

    def is_before(self, run_key: str, other: str) -> bool:
        """Whether a run comes before another one."""
        return self.place(run_key) < self.place(other)


def with_begun(
    runs: Sequence[BegunRun], run_key: str, keeps_place: bool, older: Mapping[str, bool]
) -> list[BegunRun]:
    """The runs of order.json after one of them has begun: it gets the last place or keeps its own.

    `older` are all runs that the store shows, and whether they have tables. Those of them that have
    no place began under an older version, so they get one now, by their text.
    """
    placed = {run["key"] for run in runs}
    unplaced = [key for key in sorted(older) if key not in placed]
    before = [
        *runs,
        *(BegunRun(key=k) if older[k] else BegunRun(key=k, removed=True) for k in unplaced),
    ]
    if not keeps_place:
        return [*(run for run in before if run["key"] != run_key), BegunRun(key=run_key)]
    return [_with(run, removed=False) if run["key"] == run_key else run for run in before]


def with_removed(runs: Sequence[BegunRun], run_key: str) -> list[BegunRun]:
    """The runs of order.json after the tables of one were removed."""
    return [_with(run, removed=True) if run["key"] == run_key else run for run in runs]


def _with(run: BegunRun, removed: bool) -> BegunRun:
    if removed:
        return {**run, "removed": True}
    return cast(BegunRun, {name: value for name, value in run.items() if name != "removed"})
