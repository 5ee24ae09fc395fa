"""One file of a run, judged and written on a machine of an engine.

All of this runs there. It depends on nothing but its arguments and the file, which the machine has
at the same path, or gets from the store's bucket.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cofi_jobs.core.errors import DataError, renamed
from cofi_jobs.ingestion import staging
from cofi_jobs.ingestion.batch import Counts, NewFile
from cofi_jobs.ingestion.erased_rows import ErasedUsers
from cofi_jobs.ingestion.file_times import TimesOfAll
from cofi_jobs.ingestion.id_types import IdCounts
from cofi_jobs.ingestion.output import Output
from cofi_jobs.ingestion.shown_ratings import RatingCounts, RowKind
from cofi_jobs.ingestion.staged_files import Question
from cofi_jobs.ingestion.staged_here import StagedHere
from cofi_jobs.ingestion.verdicts import Bounds
from cofi_jobs.settings.fields import Settings
from cofi_jobs.store import sql
from cofi_jobs.store.files import sha256

# Folders within the temporary one: good and bad rows, and a file that was downloaded.
GOOD, BAD, DOWNLOADED = "good", "bad", "downloaded"


@dataclass(frozen=True)
class Judging:
    """How the rows of a file are judged and written.

    id_types   how ids are written; None: in a first run, as the file shows
    scale      which the messages of rejected rows have; None: none
    first_run  whether it is asked what the file shows
    """

    limits: Bounds
    id_types: Mapping[str, str] | None
    scale: Sequence[float] | None
    first_run: bool


@dataclass(frozen=True)
class Shown:
    """What a file shows a first run, as in `StagedFiles`."""

    ids: IdCounts
    ratings: RatingCounts
    kinds: Sequence[RowKind]

    @classmethod
    def of(cls, staged: StagedHere, file: NewFile) -> "Shown":
        """What a file shows that is judged here."""
        return cls(staged.ids(file), staged.ratings(file), staged.kinds(file))


@dataclass(frozen=True)
class Judged:
    """A file that was judged and written on a machine of the engine.

    `is_guess`: the unit of its times is not certain without the other parts of the folder. The
    digests are those of the two files that were written, None: there is none.
    """

    counts: Counts
    id_types: Mapping[str, str]
    shown: Shown | None
    is_guess: bool
    taken_sha256: str | None
    rejected_sha256: str | None


@dataclass(frozen=True)
class KnownUnit:
    """As `TimesOfAll`: what all parts of a folder have shown."""

    known: str | None

    def unit(self, guess: str | None) -> str | None:
        """As in `TimesOfAll`."""
        return self.known


@dataclass
class GuessedUnit:
    """As `TimesOfAll`, where the other parts are not known: the guess, and whether it was asked."""

    is_asked: bool = False

    def unit(self, guess: str | None) -> str | None:
        """As in `TimesOfAll`."""
        self.is_asked = True
        return guess


def answers(settings: Settings, question: Question, file: NewFile) -> list[Any] | None:
    """What a file answers; None if this machine does not have the file.

    It is not downloaded for that: most questions read its first rows only.
    """
    if as_seen(file) is None:
        return None
    with TemporaryDirectory() as folder, sql.connect(settings, Path(folder)) as connection:
        staging.open_database(connection, settings)
        return [question(connection, settings, file.path)]


def judge(
    settings: Settings,
    erased: ErasedUsers,
    file: NewFile,
    judging: Judging,
    whole: TimesOfAll | None,
    n: int,
) -> Iterator[Any]:
    """The file as `Judged`, then the bytes of its good and of its bad rows, each in n pieces.

    The first result is None if this machine cannot have the file.
    """
    with TemporaryDirectory() as name:
        written = [Path(name) / folder / file.part for folder in (GOOD, BAD)]
        with on_this_machine(file, Path(name)) as seen:
            judged = seen and _judged(settings, erased, seen, judging, whole, Path(name))
        yield judged
        for path in written:
            yield from _pieces(path, n)


def _judged(
    settings: Settings,
    erased: ErasedUsers,
    file: NewFile,
    judging: Judging,
    whole: TimesOfAll | None,
    folder: Path,
) -> Judged:
    taken, rejected = folder / GOOD, folder / BAD
    taken.mkdir()
    rejected.mkdir()
    with sql.connect(settings, folder) as connection:
        staging.open_database(connection, settings)
        here = StagedHere(connection, erased, taken, [file])
        here.stage_file(file, settings, judging.limits, whole, judging.id_types is None)
        shown = Shown.of(here, file) if judging.first_run else None
        id_types = judging.id_types or _types(here.ids(file))
        output = Output(id_types, judging.scale, taken, rejected)
        counts = here.write_file(file, output)
    is_guess = isinstance(whole, GuessedUnit) and whole.is_asked
    digests = [_digest(path / file.part) for path in (taken, rejected)]
    return Judged(counts, id_types, shown, is_guess, *digests)


def _types(ids: IdCounts) -> dict[str, str]:
    return {column: "string" if n_odd else "integer" for column, n_odd in ids.n_odd.items()}


@contextmanager
def on_this_machine(file: NewFile, folder: Path) -> Iterator[NewFile | None]:
    """The file here, or downloaded into `folder`; None if there is none with its content.

    A DataError within names the file as the task does.
    """
    seen = as_seen(file)
    if seen is None and file.in_bucket:
        copy = replace(file, path=folder / DOWNLOADED / file.name)
        file.in_bucket.download(copy.path)
        seen = as_seen(copy)
    try:
        yield seen
    except DataError as error:
        raise renamed(error, {str(seen.path): str(file.path)} if seen else {}) from None


def as_seen(file: NewFile) -> NewFile | None:
    """The file on this machine; None if there is none, or if its content differs."""
    try:
        with file.path.open("rb") as content:
            stat = os.fstat(content.fileno())
        seen = replace(file, bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)
        is_same = seen == file or (seen.bytes == file.bytes and sha256(file.path) == file.sha256)
    except OSError:
        return None
    return seen if is_same else None


def _digest(path: Path) -> str | None:
    return sha256(path) if path.exists() else None


def _pieces(path: Path, n: int) -> Iterator[bytes]:
    """The bytes of a file in n pieces, empty ones if there is no file."""
    if not path.exists():
        yield from [b""] * n
        return
    size = -(-path.stat().st_size // n)
    with path.open("rb") as file:
        for _ in range(n):
            yield file.read(size)
