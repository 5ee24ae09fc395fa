"""The work that is attacked, on a small store: each step begins where an earlier one ended."""

import contextlib
import functools
import io
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cofi_jobs.cli.store_commands import rollback
from cofi_jobs.settings.fields import Settings
from cofi_jobs.settings.resolve import load_settings
from cofi_jobs.store.compaction import compact
from cofi_jobs.store.store import Store
from cofi_jobs.tasks.erase import erase
from cofi_jobs.tasks.registry import TASKS
from cofi_jobs.tasks.runner import run_task
from tests.support.data import QUICK, random_ratings

ERASED = 987654321
SETTINGS = [
    *QUICK,
    *("rating_steps=1", "ranking_steps=1", "threads=1", "device=cpu", "settle_seconds=0"),
    *("max_batches=2", "keep_runs=2", "grace_hours=0", "first_tuning_minutes=0"),
    "checkpoint_seconds=1e-9",  # a state after each step
]
QUIET = tuple(task for task in TASKS if task != "report")  # tasks of a run that take no seconds
BEGIN = "two nights"
NIGHTS = range(1, 6)  # all that the story has


@functools.cache
def settings() -> Settings:
    """Settings with which a run is small and quick, and removes and compacts what it can."""
    return load_settings(SETTINGS)


@functools.cache
def night_file(night: int) -> pd.DataFrame:
    """What users rate in a night: they change, withdraw and repeat ratings, also at equal times."""
    frame = random_ratings(n_users=10, n_items=8, share=0.5, seed=night)
    frame.loc[frame["userId"] == 10, "userId"] = ERASED
    frame["timestamp"] = 1_000_000_000 + 100 * night + frame.index % 7
    is_withdrawn = (night > 1) & (frame.index % 6 == night % 6)
    return frame.assign(op=["d" if withdrawn else "u" for withdrawn in is_withdrawn])


def drop(store: Store, night: int) -> None:
    """Put a night's file into the landing folder."""
    night_file(night).to_csv(store.landing / f"n{night}.csv", index=False)


def run(store: Store, run_key: str, tasks: Sequence[str], *more: str) -> None:
    """Run tasks of a run, with more settings."""
    chosen = load_settings([*SETTINGS, *more]) if more else settings()
    for task in tasks:
        run_task(task, store, chosen, run_key)


@dataclass(frozen=True)
class Step:
    """Work that is attacked.

    `after` names the step it begins after, `prepare` is done before it. `moves_to` is the run that
    readers use afterwards, None: the one they used before. `shown_in` says where the erased user
    may be shown afterwards; None: the user is not erased.
    """

    name: str
    after: str
    work: Callable[[Store], object]
    prepare: Callable[[Store], object] | None = None
    moves_to: str | None = None
    shown_in: tuple[str, ...] | None = ("landing", "published")


def _task(task: str, after: str) -> Step:
    return Step(task, after, functools.partial(run, run_key="n3", tasks=[task]))


def begin(store: Store) -> None:
    """Two published nights, and the file of a third."""
    store.create()
    for night in (1, 2):
        drop(store, night)
        run(store, f"n{night}", QUIET)
    drop(store, 3)


def next_night(store: Store) -> None:
    """A fourth run that only has to be published."""
    drop(store, 4)
    run(store, "n4", QUIET[:-1])


def roll_back(store: Store, run_key: str = "n1") -> None:
    """What `cofi rollback` does, without its line."""
    with contextlib.redirect_stdout(io.StringIO()):
        rollback(run_key, store.location)


def tune(store: Store, run_key: str = "n2") -> None:
    """Search for better settings, shortly."""
    quick = load_settings([*SETTINGS, "tune_minutes=0.01"])
    run_task("tune", store, quick, run_key)


def verify(store: Store) -> None:
    """Compare all files with the records."""
    run(store, "n2", ["verify"])


STEPS = [
    Step("erase", BEGIN, lambda store: erase(store, settings(), [str(ERASED)])),
    Step(
        "erase --now",
        BEGIN,
        lambda store: erase(store, settings(), [str(ERASED)], now=True),
        shown_in=("landing",),
    ),
    Step("rollback", BEGIN, roll_back, moves_to="n1", shown_in=None),
    Step("tune", BEGIN, tune, shown_in=None),
    Step("verify", BEGIN, verify, shown_in=None),
    _task("ingest", "erase"),
    Step(
        "ingest again",
        "ingest",
        functools.partial(run, run_key="n3", tasks=["ingest"]),
        prepare=functools.partial(drop, night=4),
    ),
    Step("merge", "ingest", lambda store: compact(store, settings())),
    _task("normalize", "ingest"),
    _task("train", "normalize"),
    _task("similar_items", "train"),
    _task("recommend", "similar_items"),
    _task("evaluate", "recommend"),
    _task("report", "evaluate"),
    Step(
        "publish",
        "evaluate",
        functools.partial(run, run_key="n3", tasks=["publish"]),
        prepare=next_night,
        moves_to="n3",
        shown_in=(),
    ),
]


def copy(base: Path, root: Path) -> Path:
    """A copy of a store. Its records name it, not the store that it is a copy of."""
    shutil.copytree(base, root, symlinks=True)
    for path in root.glob("tasks/*/*.json"):
        path.write_text(path.read_text().replace(f"{base}/", f"{root}/"))
    return root
