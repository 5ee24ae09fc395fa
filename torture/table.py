"""The one table: what was attacked, how often, and how often a promise did not hold."""

import sys
from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table as Printed

MOST_SHOWN = 5  # cases of one kind


@dataclass(frozen=True)
class Result:
    """An attack: its row in the table, how to repeat it, how many it stands for, what was wrong.

    `of` are places where it could be done, of which some are chosen.
    """

    row: str
    repeat: str
    times: int = 1
    wrong: tuple[str, ...] = ()
    of: int = 0


@dataclass
class Table:
    """Results, as they come in. `seed` is that of all that is drawn."""

    seed: int = 0
    times: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        """Count an attack; say at once what was wrong, and how to repeat it."""
        self.times[result.row] += result.times
        self.places[result.row] += result.of
        is_one = result.times == 1  # else each text is a case of its own
        self.violations[result.row] += bool(result.wrong) if is_one else len(result.wrong)
        for text in result.wrong:
            kind = f"{result.row}: {_kind(text)}"
            self.kinds[kind] += 1
            if self.kinds[kind] <= MOST_SHOWN:
                repeat = f"python -m torture --seed {self.seed} {result.repeat}"
                print(f"{repeat}\n  {result.row}: {text}", flush=True)
        if sys.stderr.isatty():
            done = f"{sum(self.times.values()):9,d} {result.row[:60]:60}"
            print(f"\r{done}\r", end="", flush=True, file=sys.stderr)

    def end_part(self, name: str) -> None:
        """Say on standard error that a part has ended: the table may be hours away."""
        so_far = f"{sum(self.times.values()):,} times, {sum(self.violations.values())} violations"
        print(f"{name} has ended; so far {so_far}", flush=True, file=sys.stderr)

    def print(self) -> int:
        """Print the table; 1 if anything was wrong."""
        console = Console(width=160, soft_wrap=True)
        printed = Printed("attack", "times", "of", "violations")
        for row, times in self.times.items():
            places = f"{self.places[row]:,}" if self.places[row] else ""
            printed.add_row(row, f"{times:,}", places, str(self.violations[row]))
        console.print(printed)
        return int(bool(self.kinds))


def _kind(text: str) -> str:
    """A text without what differs from case to case."""
    return "".join(character for character in text.split("\n")[0] if not character.isdigit())[:60]
