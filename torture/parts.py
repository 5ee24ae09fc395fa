"""The parts of the attack, how many cases each has, and one case of a part again."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torture import buckets, fuzz_targets, locks, matrix, nights, story, warm
from torture.buckets import Options
from torture.table import Result

WORDS = {
    "kill": "killed before a change",
    "tear": "killed in the middle of a write",
    "EIO": "a change fails: EIO",
    "ENOSPC": "the disk is full from a change on",
    "power": "power cut: what was not synced is lost",
    "names": "power cut: what was written and not synced is lost, names are not",
}
REQUEST_WORDS = {
    "kill": "killed before a request",
    "fail": "a request fails",
    "stall": "stands still before a request until another worker has taken the lease",
    "slow": "every request takes longer",
}


@dataclass(frozen=True)
class Size:
    """How many cases: of each step and attack, publications under fire, races, and so on.

    `changes` None is a case of each change whose attack leaves something of its own, `kills` None
    one before each request.
    """

    changes: int | None
    publications: int
    races: int
    inputs: int
    nights: int
    kills: int | None
    requests: int
    steps: tuple[str, ...]
    schemes: tuple[str, ...]
    bucket_steps: tuple[str, ...]


STEPS = tuple(step.name for step in story.STEPS)
BUCKET_STEPS = tuple(step for step in STEPS if step != "merge")  # which publish does in a bucket
LONG = Size(None, 300, 60, 100_000, 60, None, 6, STEPS, ("s3", "gs"), BUCKET_STEPS)
SHORT = Size(1, 3, 1, 300, 2, 1, 1, ("erase", "publish"), ("s3",), ("publish",))


@dataclass(frozen=True)
class Attacks:
    """What is attacked: its size, and the seed of all that is drawn; its folder is `folder`."""

    size: Size
    seed: int
    folder: Path
    modes: tuple[str, ...]
    at_once: int
    every_write: bool = False

    @property
    def bases(self) -> matrix.Bases:
        """The stores that cases begin with."""
        return matrix.Bases(self.folder / "bases")

    def steps(self) -> Iterator[Result]:
        """Each step, attacked at its changes."""
        for name in self.size.steps:
            made = matrix.changes_of(self.bases, matrix.step_of(name))
            calls: list[tuple[matrix.Bases, matrix.Case]] = []
            for mode in self.modes:
                cases = matrix.cases(
                    made, name, mode, self.size.changes, self.every_write, self.seed
                )
                calls += [(self.bases, case) for case in cases]
                places = matrix.attackable(made, mode)
                yield Result(WORDS[mode], "", times=0, of=len(places))
            for (_, case), ended in warm.forked_each(matrix.violations, calls, self.at_once):
                repeat = f"--case 'steps {case.name}'"
                yield Result(WORDS[case.attack.mode], repeat, 1, tuple(ended.texts))

    def readers(self) -> Iterator[Result]:
        """Readers that read while runs are published."""
        base = self.bases.before(matrix.step_of("publish"))
        count = self.size.publications
        with TemporaryDirectory() as folder:
            reads, texts = locks.under_fire(base, Path(folder), count)
        row = f"reads while {count} runs are published and rolled back"
        yield Result(row, "--only readers", reads, tuple(texts))

    def locks(self) -> Iterator[Result]:
        """Commands at once, each of their changes slowed."""
        for number in range(self.seed, self.seed + self.size.races):
            row, repeat = "two publish and a rollback at once, slowed", f"--case 'locks {number}'"
            yield Result(row, repeat, 1, tuple(_race(self.bases, number)))

    def fuzz(self) -> Iterator[Result]:
        """Odd run keys, settings, records, ids, names, files of ratings and of readers."""
        store = story.copy(self.bases.before(matrix.step_of("rollback")), self.folder / "fuzzed")
        bad = self.folder / "fuzz"
        tried, failure = _fuzzed(self.size.inputs, self.seed, bad, store)
        if failure:
            yield Result("fuzzed", "--only fuzz", 1, (failure,))
        for target, count in tried.items():
            row = f"fuzzed: {target.replace('_', ' ')}"
            yield Result(row, "--only fuzz", count)
            for path in sorted((bad / target).glob("*")):
                data, _, text = path.read_text().partition(" ")
                yield Result(row, f"--case 'fuzz {target}:{data}'", 0, (text,))

    def nights(self) -> Iterator[Result]:
        """Nights one after the other, against the oracle."""
        row = "nights, one in ten killed, against the oracle"
        for name, texts in nights.nights(self.folder / "nights", self.size.nights, self.seed):
            yield Result(row, "--only nights", 1, tuple(f"{name}: {text}" for text in texts))

    def buckets(self) -> Iterator[Result]:
        """The store in a bucket, attacked at its requests."""
        for scheme in self.size.schemes:
            with buckets.server(scheme, self.folder) as options:
                for step in self.size.bucket_steps:
                    yield from self._requests(options, scheme, step)
                texts = buckets.two_writers(self.bases, options, scheme)
                yield Result(f"{scheme}://: two writers", "--only buckets", 1, tuple(texts))

    def _requests(self, options: Options, scheme: str, step: str) -> Iterator[Result]:
        points, calls = buckets.requests_of(self.bases, options, scheme, step), []
        for mode, words in REQUEST_WORDS.items():
            most = self.size.kills if mode == "kill" else self.size.requests
            names = buckets.cases(scheme, step, mode, points, most, self.seed)
            calls += [(self.bases, options, name) for name in names]
            places = len(points) if len(names) > 1 else 0
            yield Result(f"{scheme}://: {words}", "", times=0, of=places)
        for (*_, name), ended in warm.forked_each(buckets.violations, calls, self.at_once):
            row = f"{scheme}://: {REQUEST_WORDS[buckets.case_of(name)[2].mode]}"
            yield Result(row, f"--case 'buckets {name}'", 1, tuple(ended.texts))

    def one(self, case: str) -> Result:
        """A case again, as the table has printed it."""
        part, _, name = case.partition(" ")
        if part == "steps":
            texts = matrix.violations(self.bases, matrix.case_of(name))
        elif part == "locks":
            texts = _race(self.bases, int(name))
        elif part == "fuzz":
            target, _, data = name.partition(":")
            base = self.bases.before(matrix.step_of("rollback"))
            text = fuzz_targets.wrong(target, bytes.fromhex(data), base)
            texts = [text] if text else []
        else:
            scheme = name.partition(":")[0]
            with buckets.server(scheme, self.folder) as options:
                texts = buckets.violations(self.bases, options, name)
        return Result(case, f"--case {case!r}", 1, tuple(texts))


PARTS: dict[str, Callable[[Attacks], Iterator[Result]]] = {
    part.__name__: part
    for part in (
        *(Attacks.steps, Attacks.readers, Attacks.locks),
        *(Attacks.fuzz, Attacks.nights, Attacks.buckets),
    )
}


def _race(bases: matrix.Bases, number: int) -> list[str]:
    with TemporaryDirectory() as folder:
        return locks.at_once(bases.before(matrix.step_of("publish")), Path(folder), number)


def _fuzzed(inputs: int, seed: int, bad: Path, store: Path) -> tuple[dict[str, int], str]:
    """Run the fuzzers: how many inputs each target was given, and how the fuzzers failed."""
    variables = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [sys.executable, "-m", "torture.fuzz", str(inputs), str(seed), str(bad), str(store)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    tried = dict(line.split(" ") for line in done.stdout.splitlines())
    failure = f"the fuzzer failed: {done.stderr[-500:]}" if done.returncode else ""
    return {target: int(count) for target, count in tried.items()}, failure
