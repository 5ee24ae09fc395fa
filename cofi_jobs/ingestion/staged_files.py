"""The new files of a run while their rows are judged, wherever that is done."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import duckdb

from cofi_jobs.ingestion.batch import Counts, NewFile
from cofi_jobs.ingestion.file_times import FileTimes
from cofi_jobs.ingestion.id_types import IdCounts
from cofi_jobs.ingestion.output import Output
from cofi_jobs.ingestion.shown_ratings import RatingCounts, RowKind
from cofi_jobs.ingestion.verdicts import Bounds
from cofi_jobs.settings.fields import Settings

Question = Callable[[duckdb.DuckDBPyConnection, Settings, Path], Any]


class StagedFiles(Protocol):
    """The judged rows of each of `files`. Only a first run asks what they show."""

    files: Sequence[NewFile]

    def ask(
        self, question: Question, settings: Settings, files: Sequence[NewFile]
    ) -> Iterator[Any]:
        """What each of these files answers by itself, in their order, judged or not."""

    def stage(self, settings: Settings, limits: Bounds, first_run: bool) -> None:
        """Judge the rows of all files. In a first run all ids may turn out to be integers."""

    def stage_again(self, files: Sequence[NewFile], limits: Bounds) -> None:
        """Judge the rows of some files by what all files have shown."""

    def ids(self, file: NewFile) -> IdCounts:
        """How many ids of a file are no whole numbers."""

    def ratings(self, file: NewFile) -> RatingCounts:
        """The ratings of a file, those that are outside the scale too."""

    def kinds(self, file: NewFile) -> Sequence[RowKind]:
        """What the rows of a file are that has no ratings."""

    def write(self, output: Output) -> Iterator[tuple[NewFile, Counts]]:
        """Write the good and the bad rows of each file; gives what became of them."""


def times_of_drops(
    staged: StagedFiles, settings: Settings, limits: Bounds
) -> dict[Path, FileTimes]:
    """The times of each dropped file or folder."""
    parts: dict[Path, list[NewFile]] = {}
    for file in staged.files:
        parts.setdefault(file.dropped, []).append(file)
    return {
        path: FileTimes(path, limits, partial(staged.ask, settings=settings, files=files))
        for path, files in parts.items()
    }
