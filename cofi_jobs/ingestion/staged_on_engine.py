"""The new files of a run, judged on the machines of an engine, a file in each call.

A machine judges a file as `StagedHere` does, in a folder of its own, and writes its rows at once.
In a first run it does not know yet what the other files show: then it writes the rows as if there
were no others, and the file is judged again if all of them show something else. The two files stay
where they were written until the task, which alone writes into the store, copies them.

A machine that does not have a file gets it from the store's bucket. If it is not there either, such
as a file of `source_files`, it is judged in the task.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cofi_jobs.core.progress import track
from cofi_jobs.engine.flow import Flow
from cofi_jobs.ingestion.batch import Counts, NewFile
from cofi_jobs.ingestion.file_times import TimesOfAll
from cofi_jobs.ingestion.id_types import IdCounts
from cofi_jobs.ingestion.judged_file import (
    GuessedUnit,
    Judged,
    Judging,
    KnownUnit,
    Shown,
    answers,
    judge,
)
from cofi_jobs.ingestion.known_columns import ID_COLUMNS
from cofi_jobs.ingestion.output import Output
from cofi_jobs.ingestion.shown_ratings import RatingCounts, RowKind
from cofi_jobs.ingestion.staged_files import Question, times_of_drops
from cofi_jobs.ingestion.staged_here import StagedHere
from cofi_jobs.ingestion.verdicts import OUTSIDE, Bounds
from cofi_jobs.settings.fields import Settings

# To connect to a cluster and to start Python there takes seconds, in which one machine judges about
# as many bytes.
LEAST_BYTES = 50_000_000
PIECE = 1 << 26  # bytes of a file, for which one piece of what is written of it is returned


def is_worth_it(files: Sequence[NewFile]) -> bool:
    """Whether several machines judge the files sooner than this one.

    The largest file is in one call, which takes as long as here. What may be gained is the time of
    the others.
    """
    sizes = [file.bytes for file in files]
    return sum(sizes) - max(sizes, default=0) >= LEAST_BYTES


@dataclass
class _Call:
    """A call of `judge`, and where its results will be."""

    judging: Judging
    judged: Any
    taken: list[Any]
    rejected: list[Any]


class StagedOnEngine:
    """As `StagedFiles`. `here` judges the files that the machines of the engine do not see."""

    def __init__(self, flow: Flow, here: StagedHere) -> None:
        self.flow, self.here, self.files = flow, here, here.files
        self.erased = flow.share(here.erased)
        self.calls: dict[NewFile, _Call] = {}
        self.judged: dict[NewFile, Judged] = {}
        self.units: dict[Path, KnownUnit] = {}  # of folders

    def ask(
        self, question: Question, settings: Settings, files: Sequence[NewFile]
    ) -> Iterator[Any]:
        """As in `StagedFiles`."""
        settings_there = _of_call(settings)
        calls = [self.flow.call(answers, settings_there, question, file) for file in files]
        for file, call in zip(files, calls, strict=True):
            answer = self.flow.get(call)
            yield from self.here.ask(question, settings, [file]) if answer is None else answer

    def stage(self, settings: Settings, limits: Bounds, first_run: bool) -> None:
        """As in `StagedFiles`."""
        self.settings, self.first_run = settings, first_run
        self.whole = times_of_drops(self, settings, limits)
        is_open = first_run and settings.id_type == "auto"
        self._judge(dict.fromkeys(self.files, self._judging(limits, is_open)))

    def stage_again(self, files: Sequence[NewFile], limits: Bounds) -> None:
        """As in `StagedFiles`."""
        self._judge(dict.fromkeys(files, self._judging(limits)))

    def ids(self, file: NewFile) -> IdCounts:
        """As in `StagedFiles`."""
        return self.here.ids(file) if file in self.here.rows else self._shown(file).ids

    def ratings(self, file: NewFile) -> RatingCounts:
        """As in `StagedFiles`."""
        return self.here.ratings(file) if file in self.here.rows else self._shown(file).ratings

    def kinds(self, file: NewFile) -> Sequence[RowKind]:
        """As in `StagedFiles`."""
        return self.here.kinds(file) if file in self.here.rows else self._shown(file).kinds

    def write(self, output: Output) -> Iterator[tuple[NewFile, Counts]]:
        """As in `StagedFiles`."""
        types, scale = output.id_types, output.scale
        self._judge(
            {
                file: replace(self.calls[file].judging, id_types=types, scale=scale)
                for file in self.judged
                if not self._is_written_so(file, output)
            }
        )
        for file in self.files:
            if file in self.here.rows:
                yield file, self.here.write_file(file, output)
                continue
            call, judged = self.calls.pop(file), self.judged[file]
            self._copy(call.taken, output.taken / file.part, judged.taken_sha256)
            self._copy(call.rejected, output.rejected / file.part, judged.rejected_sha256)
            yield file, judged.counts

    def _judging(self, limits: Bounds, is_open: bool = False) -> Judging:
        """`is_open`: the types of ids are not known yet."""
        types = {
            column: "integer" if column in limits.integers else "string" for column in ID_COLUMNS
        }
        scale = [limits.low, limits.high] if limits.feedback == "ratings" else None
        return Judging(limits, None if is_open else types, scale, self.first_run)

    def _judge(self, judgings: Mapping[NewFile, Judging]) -> None:
        """Judge these files. Parts whose unit of times is that of others are judged once more."""
        for file, judging in judgings.items():
            if file not in self.here.rows:
                self.calls[file] = self._call(file, judging)
        waited_for = track(judgings.items(), "reading rating files", len(judgings))
        again = {file: how for file, how in waited_for if not self._is_judged(file, how)}
        if again:
            self._judge(again)

    def _is_judged(self, file: NewFile, judging: Judging) -> bool:
        """Wait for a file; judge it here if it was not seen. Whether its unit of times is right."""
        whole = self.whole[file.dropped]
        call = self.calls.get(file)
        judged = self.flow.get(call.judged) if call else None
        if judged is None:
            for known in (self.calls, self.judged):
                known.pop(file, None)
            is_open = judging.id_types is None
            self.here.stage_file(file, self.settings, judging.limits, whole, is_open)
            return True
        self.judged[file] = judged
        if not judged.is_guess:
            return True
        guess = judged.counts["time_unit"]
        self.units[file.dropped] = KnownUnit(whole.unit(guess))
        return self.units[file.dropped] == KnownUnit(guess)

    def _call(self, file: NewFile, judging: Judging) -> _Call:
        whole: TimesOfAll | None = None
        if file.dropped != file.path:
            whole = self.units.get(file.dropped) or GuessedUnit()
        n = 1 + file.bytes // PIECE
        arguments = _of_call(self.settings), self.erased, file, judging, whole, n
        judged, *pieces = self.flow.call_for(1 + 2 * n, judge, *arguments)
        return _Call(judging, judged, pieces[:n], pieces[n:])

    def _shown(self, file: NewFile) -> Shown:
        shown = self.judged[file].shown
        assert shown is not None, "only a first run asks"
        return shown

    def _is_written_so(self, file: NewFile, output: Output) -> bool:
        judged = self.judged[file]
        names_scale = any(reason.startswith(OUTSIDE) for reason in judged.counts["reasons"])
        has_scale = self.calls[file].judging.scale == output.scale or not names_scale
        return judged.id_types == output.id_types and has_scale

    def _copy(self, pieces: list[Any], path: Path, digest: str | None) -> None:
        """Write a file from its pieces; each is released once it is written."""
        if digest is None:
            return
        written = hashlib.sha256()
        with path.open("wb") as file:
            while pieces:
                piece = self.flow.get(pieces.pop(0))
                file.write(piece)
                written.update(piece)
        if written.hexdigest() != digest:  # pieces of two attempts that wrote different bytes
            raise RuntimeError(f"{path.name}: found other bytes than a machine of the engine wrote")


def _of_call(settings: Settings) -> Settings:
    return settings.model_copy(update={"threads": 1})
