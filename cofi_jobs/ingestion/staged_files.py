"""The new files of a run while their rows are judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from cofi_jobs.core.progress import track
from cofi_jobs.ingestion import staging
from cofi_jobs.ingestion.batch import NewFile
from cofi_jobs.ingestion.file_times import FileTimes
from cofi_jobs.ingestion.missing import has_numbers
from cofi_jobs.ingestion.staging import ErasedUsers, StagedFile
from cofi_jobs.ingestion.verdicts import Bounds
from cofi_jobs.settings.fields import Settings


@dataclass(frozen=True)
class StagedFiles:
    """The judged rows of each new file, in `rows`. Plain files are written to `taken` at once."""

    connection: duckdb.DuckDBPyConnection
    settings: Settings
    erased: ErasedUsers
    taken: Path
    rows: dict[NewFile, StagedFile] = field(default_factory=dict)
    whole: dict[Path, FileTimes] = field(default_factory=dict)  # of each dropped file or folder

    def stage(self, files: Sequence[NewFile], limits: Bounds, first_run: bool) -> None:
        """Judge the rows of all files. In a first run all ids may turn out to be integers."""
        may_be_plain = _are_integers(limits) or (first_run and self.settings.id_type == "auto")
        parts: dict[Path, list[Path]] = {}
        for file in files:
            parts.setdefault(file.dropped, []).append(file.path)
        for path, files_in_it in parts.items():
            self.whole[path] = FileTimes(self.connection, self.settings, limits, path, files_in_it)
        for number, file in enumerate(track(files, "reading rating files")):
            self._stage(file, number, limits, may_be_plain)

    def stage_again(self, file: NewFile, limits: Bounds) -> None:
        """Judge the rows of a file by what the files have shown."""
        self._stage(file, self.rows[file].number, limits, _are_integers(limits))

    def _stage(self, file: NewFile, number: int, limits: Bounds, may_be_plain: bool) -> None:
        may_be_plain &= not self.erased.users and not has_numbers(self.settings.missing)
        target = self.taken / file.part if may_be_plain else None
        whole = self.whole[file.dropped]
        rows = staging.stage(
            self.connection, number, file.path, self.settings, limits, target, whole
        )
        file.check_unchanged()
        if self.erased.users:
            staging.reject_erased(self.connection, rows, self.erased)
        self.rows[file] = rows


def _are_integers(limits: Bounds) -> bool:
    return len(limits.integers) == 2
