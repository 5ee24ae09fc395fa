"""Every change that a step of the story makes is attacked in turn; then others go on at once."""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from cofi_jobs.store.store import Store
from torture import power, story
from torture.attack import CUTS, ERRORS, Attack, Change, arm, changes
from torture.checks import owned, served, settled, traces
from torture.oracle import current_ratings, differences
from torture.story import BEGIN, ERASED, STEPS, Step
from torture.warm import Ended, done, forked

# Words of the system, or of a library that does not pass them on, in a clear error.
CLEAR = ("No space left on device", "Input/output error", "DuckDB could not keep its files in")
NAMING = ("create", "mkdir", "symlink", "link", "rename", "exchange", "unlink", "rmdir")
# After other changes the attack would leave what it would have left before them.
LEAVES_MORE = {
    "kill": (*NAMING, "write", "truncate"),
    "power": ("fsync", "truncate"),
    "names": (*NAMING, "fsync", "truncate"),
}
NEEDS_NO_SPACE = ("unlink", "rmdir", "utime")


@dataclass(frozen=True)
class Case:
    """A step, what is done to it, and what happens next.

    "repeat": the step is run again. "next": other work on the store goes on without it. "rest":
    nothing; what must hold holds already, for the attack comes after the step.
    """

    step: str
    attack: Attack
    then: str

    @property
    def name(self) -> str:
        """As `--case` takes it."""
        return f"{self.step}:{self.attack.mode}:{self.attack.at}:{self.then}"


def case_of(name: str) -> Case:
    """The case of a name. Raises ValueError if it is none."""
    step, mode, at, then = name.split(":")
    return Case(step, Attack(mode, int(at)), then)


class Bases:
    """The stores that steps begin with, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def before(self, step: Step) -> Path:
        """The store before a step, made by the steps before it."""
        base = self.folder / f"before {step.name}" / "store"
        if not base.exists():
            story.copy(self._after(step.after), base)
            if step.prepare:
                done(step.prepare, Store(base))
        return base

    def _after(self, name: str) -> Path:
        base = self.folder / f"after {name}" / "store"
        if base.exists():
            return base
        if name == BEGIN:
            done(story.begin, Store(base))
        else:
            step = step_of(name)
            story.copy(self.before(step), base)
            done(step.work, Store(base))
        return base


def step_of(name: str) -> Step:
    """A step of the story by its name. Raises StopIteration if there is none."""
    return next(step for step in STEPS if step.name == name)


def cases(
    made: Sequence[Change], step: str, mode: str, most: int | None, every_write: bool, seed: int
) -> Iterator[Case]:
    """A case for each change that is attacked, or for `most` of them, drawn by the seed."""
    points = attackable(made, mode) if every_write else different(made, mode)
    drawn = random.Random(f"{seed} {step} {mode}")
    for at in _spread(points, drawn)[:most]:
        yield Case(step, Attack(mode, at), drawn.choice(("repeat", "next")))
    if mode in CUTS:
        yield Case(step, Attack(mode, made[-1].number + 1), "rest")


def attackable(made: Sequence[Change], mode: str) -> list[Change]:
    """The changes at which an attack of this mode does anything."""
    if mode == "tear":
        return [change for change in made if change.kind == "write"]
    spared = NEEDS_NO_SPACE if mode == "ENOSPC" else ()
    return [change for change in made if change.kind not in spared]


def different(made: Sequence[Change], mode: str) -> list[Change]:
    """Of these changes those whose attack leaves something else than that of another one.

    Of a row of writes to one file the first and the last stand for all.
    """
    points = attackable(made, mode)
    if mode in LEAVES_MORE:
        later = (after for before, after in pairwise(made) if before.kind in LEAVES_MORE[mode])
        points = [*made[:1], *later]
    amid_writes = {change.number for change in _amid_writes(made)}
    return [change for change in points if change.number not in amid_writes]


def _amid_writes(made: Sequence[Change]) -> Iterator[Change]:
    """Writes between two writes to the same file."""
    for before, change, after in zip(made, made[1:], made[2:], strict=False):
        three = {(c.kind, c.path) for c in (before, change, after)}
        if three == {("write", change.path)}:
            yield change


def _spread(made: Sequence[Change], drawn: random.Random) -> list[int]:
    """Numbers of changes, drawn so that the first ones are of all kinds and places."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for change in drawn.sample(made, len(made)):
        name = re.sub("[0-9a-f]{8,}|[0-9]+", "", change.path)
        kinds[f"{change.kind} {name}"].append(change.number)
    rounds = zip_longest(*drawn.sample([*kinds.values()], len(kinds)))
    return [number for numbers in rounds for number in numbers if number is not None]


def changes_of(bases: Bases, step: Step) -> list[Change]:
    """The changes that a step makes. Raises RuntimeError if some were made that are not counted."""
    with TemporaryDirectory() as folder:
        root = story.copy(bases.before(step), Path(folder) / "store")
        log, known = Path(folder) / "log", power.disk(root)
        done(attacked, root, step.name, Attack("count"), log)
        made = changes(log)
        power.replay(known, root, made, kept=Path(folder))
        if missed := power.unseen(known, root):
            raise RuntimeError(f"{step.name} made changes that are not counted: {missed}")
        return made


def attacked(root: Path, step: str, attack: Attack, log: Path, kept: Path | None = None) -> None:
    """Do a step under attack."""
    log.touch()
    arm(root, attack, log, kept)
    step_of(step).work(Store(root))


def violations(bases: Bases, case: Case) -> list[str]:
    """Attack a step; what does not hold afterwards."""
    with TemporaryDirectory() as folder:
        step, top = step_of(case.step), Path(folder)
        root, log = top / "store", top / "log"
        story.copy(bases.before(step), root)
        kept = top / "kept" if case.attack.mode in CUTS else None
        if kept:
            kept.mkdir()
        before = power.disk(root) if kept else None
        ended = forked(attacked, root, case.step, case.attack, log, kept)
        if before and kept and (ended.killed or case.then == "rest"):
            power.cut(before, root, changes(log), kept, case.attack.mode == "names")
        wrong = _wrong_end(case, ended)
        ended_well = ended.error is None and not ended.killed
        return [*wrong, *forked(_judge, root, case, ended_well).texts]


def _wrong_end(case: Case, ended: Ended) -> list[str]:
    if ended.signal:
        dies = case.attack.mode not in ERRORS and ended.killed
        return [] if dies else [f"ended by signal {ended.signal}"]
    if ended.error and not any(words in ended.error for words in CLEAR):
        return [f"an unclear error: {ended.error}"]
    return []


def _judge(root: Path, case: Case, ended_well: bool) -> list[str]:
    """What does not hold at once, and after the work is repeated or other work has gone on."""
    store, step = Store(root), step_of(case.step)
    after = step.moves_to or "n2"
    wrong = served(store, {after} if ended_well else {"n2", after})
    repeats = case.then == "repeat"
    if repeats:
        step.work(store)
    elif case.then == "next":
        _go_on(store, step)
    done = ended_well or repeats
    if done or step.name == "publish":
        wrong += owned(store) if case.then == "next" else settled(store)
        wrong += served(store, {"n4" if step.name == "publish" and case.then == "next" else after})
    is_erased = step.after != BEGIN or (done and step.shown_in is not None)
    if is_erased:
        wrong += traces(store, ERASED, step.shown_in or ())
    return wrong + _wrong_tables(store, step, is_erased)


def _go_on(store: Store, step: Step) -> None:
    """What others do next: publish a later run, or begin the next night."""
    if step.name == "publish":
        story.run(store, "n4", ["publish"])
    else:
        story.drop(store, 5)
        story.run(store, "n5", ["ingest", "normalize"])


def _wrong_tables(store: Store, step: Step, is_erased: bool) -> list[str]:
    wrong = []
    for key in store.run_keys():
        if store.outcome(key, "normalize") is None:
            continue
        nights = _nights(store, step, int(key[1:]))
        # Before n1 and n2 were cleaned for good, or if an erasure was not ended, both are right.
        unknown = () if is_erased and key not in ("n1", "n2") else (ERASED,)
        expected = current_ratings(nights, [ERASED])
        wrong += differences(store, key, expected, unknown)
    return wrong


def _nights(store: Store, step: Step, newest: int) -> list[pd.DataFrame]:
    nights = range(1, newest + 1)
    has_four = step.prepare is not None
    if step.name == "ingest again" and newest == 3:
        nights = range(1, 5)
    return [story.night_file(night) for night in nights if night != 4 or has_four]
