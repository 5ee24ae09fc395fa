"""The new files of a run, judged in one database, one after the other."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from cofi_jobs.core.progress import track
from cofi_jobs.ingestion import staging
from cofi_jobs.ingestion.batch import Counts, NewFile
from cofi_jobs.ingestion.erased_rows import ErasedUsers, reject_erased
from cofi_jobs.ingestion.file_times import TimesOfAll
from cofi_jobs.ingestion.id_types import IdCounts, count_ids
from cofi_jobs.ingestion.missing import has_numbers
from cofi_jobs.ingestion.output import Output, write_rows
from cofi_jobs.ingestion.shown_ratings import RatingCounts, RowKind, count_kinds, count_ratings
from cofi_jobs.ingestion.staged_files import Question, times_of_drops
from cofi_jobs.ingestion.staging import StagedFile
from cofi_jobs.ingestion.verdicts import Bounds
from cofi_jobs.settings.fields import Settings


class StagedHere:
    """As `StagedFiles`. Plain files are written to `taken` at once."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        erased: ErasedUsers,
        taken: Path,
        files: Sequence[NewFile],
    ) -> None:
        self.connection, self.erased, self.taken, self.files = connection, erased, taken, files
        self.rows: dict[NewFile, StagedFile] = {}

    def ask(
        self, question: Question, settings: Settings, files: Sequence[NewFile]
    ) -> Iterator[Any]:
        """As in `StagedFiles`."""
        return (question(self.connection, settings, file.path) for file in files)

    def stage(self, settings: Settings, limits: Bounds, first_run: bool) -> None:
        """As in `StagedFiles`."""
        self.settings, self.whole = settings, times_of_drops(self, settings, limits)
        may_be_integers = first_run and settings.id_type == "auto"
        for file in track(self.files, "reading rating files"):
            whole = self.whole[file.dropped]
            self.stage_file(file, settings, limits, whole, may_be_integers)

    def stage_again(self, files: Sequence[NewFile], limits: Bounds) -> None:
        """As in `StagedFiles`."""
        for file in files:
            self.stage_file(file, self.settings, limits, self.whole[file.dropped])

    def stage_file(
        self,
        file: NewFile,
        settings: Settings,
        limits: Bounds,
        whole: TimesOfAll | None,
        may_be_integers: bool = False,
    ) -> None:
        """Judge the rows of one file.

        `whole` has the times of all parts, None if there are no others. `may_be_integers`: ids may
        turn out to be integers, though the limits do not ask for it.
        """
        known = self.rows.get(file)
        may_be_plain = may_be_integers or len(limits.integers) == 2
        may_be_plain &= not self.erased.users and not has_numbers(settings.missing)
        rows = staging.stage(
            self.connection,
            known.number if known else len(self.rows),
            file.path,
            settings,
            limits,
            self.taken / file.part if may_be_plain else None,
            whole,
        )
        file.check_unchanged()
        if self.erased.users:
            reject_erased(self.connection, rows, self.erased)
        self.rows[file] = rows

    def ids(self, file: NewFile) -> IdCounts:
        """As in `StagedFiles`."""
        return count_ids(self.connection, self.rows[file])

    def ratings(self, file: NewFile) -> RatingCounts:
        """As in `StagedFiles`."""
        return count_ratings(self.connection, self.rows[file])

    def kinds(self, file: NewFile) -> list[RowKind]:
        """As in `StagedFiles`."""
        return count_kinds(self.connection, self.rows[file])

    def write(self, output: Output) -> Iterator[tuple[NewFile, Counts]]:
        """As in `StagedFiles`."""
        return ((file, self.write_file(file, output)) for file in self.files)

    def write_file(self, file: NewFile, output: Output) -> Counts:
        """As `write`, of one file."""
        return write_rows(self.connection, self.rows[file], file, output)
